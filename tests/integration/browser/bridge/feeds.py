"""Feeds, which a page follows below ``/ws/feed/``: two groups each, that the view ``publish`` sends to."""

from __future__ import annotations

import json
from typing import Any

from routechan import Group, route

from . import routing


def follow(message: Any, feed: str) -> None:
    message.reply_channel.send({"accept": True, "text": json.dumps({"query": message["query_string"].decode()})})
    for name in ("a", "b"):
        Group(f"feed-{feed}-{name}").add(message.reply_channel)


channel_routing = [
    route("websocket.connect", follow, path=r"^/ws/feed/(?P<feed>[\w-]+)/$"),
    *routing.channel_routing,
]
