"""Echoes JSON, on the stream it came on; ``{"bye": code}`` is answered by a close."""

from __future__ import annotations

import json
from typing import Any

from routechan import route


def ws_connect(message: Any) -> None:
    message.reply_channel.send({"accept": True, "text": json.dumps({"hello": message["path"]})})


def ws_receive(message: Any) -> None:
    content = json.loads(message["text"])
    if "bye" in content:
        message.reply_channel.send({"close": content["bye"]})
    else:
        message.reply_channel.send({"text": message["text"]})


channel_routing = [
    route("websocket.connect", ws_connect, path=r"^/ws/"),
    route("websocket.receive", ws_receive, path=r"^/ws/"),
]
