"""A streaming consumer is routed like any other."""

from __future__ import annotations

from routechan import route

from . import consumers

channel_routing = [
    route("websocket.connect", consumers.count, path=r"^/ticker/$"),
    route("websocket.connect", consumers.acount, path=r"^/aticker/$"),
    route("websocket.receive", consumers.answer, path=r"^/a?ticker/$"),
]
