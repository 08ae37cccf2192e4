"""The routing the Django tests are configured with."""

from __future__ import annotations

from typing import Any

from routechan import Message, include, route


def echo(message: Message, room: str) -> None:
    message.reply_channel.send({"text": f"{room}: {message['text']}"})


async def aecho(message: Message, **kwargs: Any) -> None:
    message.reply_channel.send({"text": message["text"]})


channel_routing = [
    include(
        [route("websocket.receive", echo, path=r"^/(?P<room>\w+)/$")],
        path=r"^/chat",
    ),
    route("websocket.receive", aecho, path=r"^/async/$"),
    route("thumbnail", aecho),
]
