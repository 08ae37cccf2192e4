"""1.x code: consumers that ask for order themselves, and a channel of its own."""

from __future__ import annotations

import os
import random
import time

from routechan import Channel, Message, route
from routechan_django.sessions import enforce_ordering


@enforce_ordering
def ordered(message: Message) -> None:
    time.sleep(random.uniform(0, 0.005))
    message.channel_session["seen"] = message.channel_session.get("seen", "") + message["text"]
    message.reply_channel.send({"text": message.channel_session["seen"]})


@enforce_ordering
def connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})


@enforce_ordering
def disconnect(message: Message) -> None:
    """Its turn comes too."""


def enqueue(message: Message) -> None:
    Channel("queue").send({"reply_channel": message.reply_channel.name, "text": message["text"]})


def work(message: Message) -> None:
    message.reply_channel.send({"text": f"{message['text']} by {os.getpid()}"})


channel_routing = [
    route("websocket.receive", enqueue, path="^/queue/$"),
    route("queue", work),
    route("websocket.connect", connect),
    route("websocket.receive", ordered),
    route("websocket.disconnect", disconnect),
]
