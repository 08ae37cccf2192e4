"""``asgi.delay`` without the delay server: the channel layer itself keeps the messages.

``route("asgi.delay", "routechan_django.delay.consumers.send_later")`` needs neither the app nor its table nor
``rundelay``.
"""

from __future__ import annotations

from routechan.channel import Channel
from routechan.message import Message

from .request import read_request


def send_later(message: Message) -> None:
    """Hand what a message on ``asgi.delay`` asks for to the layer's own delayed send."""
    request = read_request(message.content)
    channel = Channel(request.channel, channel_layer=message.channel_layer)
    channel.send(request.content, delay=request.delay / 1000)
