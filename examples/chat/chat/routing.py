"""The sockets of the chat; the two ways to write consumers share the rooms."""

from __future__ import annotations

from routechan import route

from . import async_consumers, consumers

ROOM = r"(?P<room>[A-Za-z0-9_.-]{1,80})/$"

channel_routing = [
    route("websocket.connect", consumers.ws_connect, path=r"^/chat/" + ROOM),
    route("websocket.receive", consumers.ws_receive, path=r"^/chat/" + ROOM),
    route("websocket.disconnect", consumers.ws_disconnect, path=r"^/chat/" + ROOM),
    route("websocket.connect", async_consumers.ws_connect, path=r"^/achat/" + ROOM),
    route("websocket.receive", async_consumers.ws_receive, path=r"^/achat/" + ROOM),
    route("websocket.disconnect", async_consumers.ws_disconnect, path=r"^/achat/" + ROOM),
]

#: Who comes and goes is told for each group; outside of what an include with a path takes.
told = [
    route("group.join", consumers.joined, group=r"^chat_(?P<room>.+)$"),
    route("group.leave", consumers.left, group=r"^chat_(?P<room>.+)$"),
]
