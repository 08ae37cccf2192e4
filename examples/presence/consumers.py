"""Who is here, kept by the channel layer: no table, no clean-up, right on several servers too."""

from __future__ import annotations

import json
from typing import Any

from routechan import Group, Message

PLACE = "lounge"


def ws_connect(message: Message, name: str) -> None:
    message.reply_channel.send({"accept": True})
    Group(PLACE).add(message.reply_channel, who={"id": name.casefold(), "name": name})
    Group(PLACE).send(people())  # the newcomer is a member already


def ws_disconnect(message: Message, name: str) -> None:
    Group(PLACE).discard(message.reply_channel)


def joined(message: Message) -> None:
    """For somebody's first window only."""
    Group(PLACE).send(people(f"{message['who']['name']} is here"))


def left(message: Message) -> None:
    """After somebody's last window, once a page that only loads again would be back."""
    Group(PLACE).send(people(f"{message['who']['name']} has left"))


def people(news: str = "") -> dict[str, Any]:
    """A frame with the names of all who are here, and what has changed."""
    return {"text": json.dumps({"here": [who["name"] for who in Group(PLACE).present()], "news": news})}
