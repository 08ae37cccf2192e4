"""The socket of the feed."""

from __future__ import annotations

from routechan import route

from . import consumers

channel_routing = [
    route("websocket.connect", consumers.ws_connect, path=r"^/feed/$"),
    route("websocket.disconnect", consumers.ws_disconnect, path=r"^/feed/$"),
]
