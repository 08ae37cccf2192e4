"""What the workers run: each socket joins the group of its path."""

from __future__ import annotations

from routechan import Group, Message, route


def connect(message: Message, group: str) -> None:
    message.reply_channel.send({"accept": True})
    Group(group).add(message.reply_channel)


def disconnect(message: Message, group: str) -> None:
    Group(group).discard(message.reply_channel)


channel_routing = [
    route("websocket.connect", connect, path="^/(?P<group>[a-z0-9-]+)/$"),
    route("websocket.disconnect", disconnect, path="^/(?P<group>[a-z0-9-]+)/$"),
]
