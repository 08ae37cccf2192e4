"""The sockets, by path."""

from routechan import include, route

from . import consumers, leaving

ROOM = r"^/groupchat/(?P<room>[A-Za-z0-9_.-]{1,80})/$"
GROUP = r"^/room/(?P<group>[A-Za-z0-9_.-]{1,80})/$"

channel_routing = [
    include("groupchat.echo.channel_routing", path=r"^/echo/$"),
    route("websocket.connect", consumers.ws_connect, path=r"^/groupchat/$"),
    route("websocket.receive", consumers.ws_receive, path=r"^/groupchat/$"),
    route("websocket.disconnect", consumers.ws_disconnect, path=r"^/groupchat/$"),
    route("websocket.connect", consumers.room_connect, path=ROOM),
    route("websocket.receive", consumers.room_receive, path=ROOM),
    route("websocket.disconnect", consumers.room_disconnect, path=ROOM),
    route("websocket.connect", leaving.ws_connect, path=GROUP),
    route("websocket.receive", leaving.ws_receive, path=GROUP),
    route("websocket.disconnect", leaving.ws_disconnect, path=GROUP),
]
