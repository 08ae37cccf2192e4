"""The client id is a part of the path, and so an argument of the consumers."""

from __future__ import annotations

from routechan import route

from . import consumers

CLIENT = r"^/status/(?P<client_id>[A-Za-z0-9_.-]{1,80})$"

channel_routing = [
    route("websocket.connect", consumers.ws_connect, path=CLIENT),
    route("websocket.receive", consumers.ws_receive, path=CLIENT),
    route("websocket.disconnect", consumers.ws_disconnect, path=CLIENT),
]
