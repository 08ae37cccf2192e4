"""1.x code that asks for order itself."""

from __future__ import annotations

import random
import time

from routechan import Message, route
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


channel_routing = [
    route("websocket.connect", connect),
    route("websocket.receive", ordered),
    route("websocket.disconnect", disconnect),
]
