"""What the workers of the soak run. Each socket stands in the ledger from its connect to its disconnect."""

from __future__ import annotations

from routechan import Group, Message, route
from tests.integration.workers.consumers import echo, slow_aecho, slow_echo

from .ledger import Ledger

ledger = Ledger.of_environment()


def connect(message: Message, group: str) -> None:
    ledger.opened(message["reply_channel"])
    message.reply_channel.send({"accept": True})
    Group(group).add(message.reply_channel)


def disconnect(message: Message, group: str) -> None:
    ledger.closed(message["reply_channel"])
    Group(group).discard(message.reply_channel)


channel_routing = [
    route("websocket.connect", connect, path="^/(?P<group>[a-z]+)/$"),
    route("websocket.disconnect", disconnect, path="^/(?P<group>[a-z]+)/$"),
    # A socket's messages in turn on threads and on the event loop.
    route("websocket.receive", slow_echo, path="^/talk/$", text="[02468]$"),
    route("websocket.receive", slow_aecho, path="^/talk/$"),
    route("websocket.receive", echo),
]
