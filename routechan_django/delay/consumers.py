"""A consumer of ``asgi.delay`` that replaces the delay server: the channel layer itself delays the messages.

``route("asgi.delay", "routechan_django.delay.consumers.send_later")`` needs neither the app nor its table nor
``rundelay``.
"""

from __future__ import annotations

from routechan.channel import Channel
from routechan.message import Message

from .request import read_request


def send_later(message: Message) -> None:
    """Send the content in ``message`` with the layer's own delay; ``InvalidRequest`` for a malformed message."""
    request = read_request(message.content)
    channel = Channel(request.channel, channel_layer=message.channel_layer)
    channel.send(request.content, delay=request.delay / 1000)
