"""One function. What a page has missed, its group gives it: see ``history`` in the settings."""

from __future__ import annotations

from routechan import Group, Message

from .notifications import GROUP


def ws_connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group(GROUP).add(message.reply_channel)


def ws_disconnect(message: Message) -> None:
    Group(GROUP).discard(message.reply_channel)
