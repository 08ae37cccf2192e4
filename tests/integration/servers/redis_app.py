"""An application that several processes serve together, over Redis."""

from __future__ import annotations

import os

from routechan import Channel, Group, Message, application, route
from routechan.layers import RedisChannelLayer


def connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("everyone").add(message.reply_channel)


def receive(message: Message) -> None:
    """``later ...`` and ``work ...`` come back by another way than the rest."""
    text = message["text"]
    if text.startswith("later"):
        Group("everyone").send({"text": text}, delay=0.2)
    elif text.startswith("close"):
        Group("everyone").send({"close": int(text[5:])}, exclude=message.reply_channel)
    elif text.startswith("work"):
        Channel("work").send({"text": text})
    else:
        Group("everyone").send({"text": text})


def work(message: Message) -> None:
    Group("everyone").send({"text": f"done by {os.getpid()}: {message['text']}"})


def disconnect(message: Message) -> None:
    Group("everyone").discard(message.reply_channel)
    Group("everyone").send({"text": f"left with {message['code']}"})


app = application(
    [
        route("websocket.connect", connect),
        route("websocket.receive", receive),
        route("websocket.disconnect", disconnect),
        route("work", work),
    ],
    layer=RedisChannelLayer(hosts=[os.environ["REDIS"]], prefix=os.environ["REDIS_PREFIX"], lease=2.0),
)
