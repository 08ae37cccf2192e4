"""Joins and leaves are routed like any other message; the pattern is for the name of the group."""

from __future__ import annotations

from routechan import include, route

from . import consumers

PERSON = r"^/presence/(?P<name>[^/]{1,40})/$"

sockets = [
    route("websocket.connect", consumers.ws_connect, path=PERSON),
    route("websocket.disconnect", consumers.ws_disconnect, path=PERSON),
]

channel_routing = [
    include(sockets, path=r"^/ws"),
    route("group.join", consumers.joined, group=r"^lounge$"),
    route("group.leave", consumers.left, group=r"^lounge$"),
]
