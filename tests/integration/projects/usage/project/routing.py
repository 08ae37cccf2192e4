from channels import include, route, route_class
from channels.routing import null_consumer
from channels.staticfiles import StaticFilesConsumer

from idioms.consumers import Demultiplexer, Echo, Feed, Lines, OwnMapping, Profile, by_hand, ws_connect

rooms_routing = [
    route("websocket.connect", ws_connect, path=r"^/(?P<room>[a-z]+)/$"),
    # Dotted strings beside functions.
    route("websocket.receive", "idioms.consumers.ws_receive", path=r"^/(?P<room>[a-z]+)/$"),
    route("websocket.disconnect", "idioms.consumers.ws_disconnect", path=r"^/(?P<room>[a-z]+)/$"),
]

chat_routing = [
    route("chat.receive", "idioms.consumers.chat_join", command=r"^join$"),
    route("chat.receive", "idioms.consumers.chat_say", command=r"^say$", room=r"^(?P<room>[a-z]+)$"),
    route("game.event", "idioms.consumers.game_event", event=r"^(?P<event>won|lost)$"),
]

channel_routing = [
    include(rooms_routing, path=r"^/rooms"),
    include("project.routing.chat_routing"),
    route_class(Echo, path=r"^/echo/$"),
    route_class(Demultiplexer, path=r"^/streams/(?P<id>[0-9]+)/$"),
    Lines.as_route(path=r"^/lines/$"),
    Lines.as_route(path=r"^/ordered/$", attrs={"strict_ordering": True}),
    Profile.as_route(path=r"^/profile/$"),
    Feed.as_route(path=r"^/feed/(?P<slug>[^/]+)/$"),
    OwnMapping.as_route(),
    route("http.request", by_hand, path=r"^/by-hand/$", method=r"^GET$"),
    route("http.request", StaticFilesConsumer(), path=r"^/static/"),
    route("websocket.receive", "idioms.consumers.marked_frame", path=r"^/marked/$"),
    route("marked.ask", "idioms.consumers.marked_ask"),
    route("thumbnails.make", "idioms.consumers.thumbnail"),
    route("ignored", null_consumer),
    route("websocket.connect", "idioms.consumers.session_connect", path=r"^/sessions/$"),
    route("websocket.receive", "idioms.consumers.session_receive", path=r"^/sessions/$"),
    route("websocket.connect", "idioms.consumers.http_user", path=r"^/http-user/$"),
    route("websocket.connect", "idioms.consumers.http_only", path=r"^/http-session/$"),
    route("websocket.connect", "idioms.consumers.both_connect", path=r"^/both/$"),
    route("websocket.receive", "idioms.consumers.both_receive", path=r"^/both/$"),
    route("websocket.connect", "idioms.consumers.both_users", path=r"^/both-users/$"),
    route("websocket.connect", "idioms.consumers.count", path=r"^/counted/$"),
    route("websocket.receive", "idioms.consumers.count", path=r"^/counted/$"),
    route("websocket.connect", "idioms.consumers.refuse", path=r"^/refuse/$"),
    route("websocket.connect", "idioms.consumers.deny", path=r"^/deny/$"),
    route("websocket.connect", "idioms.consumers.speaks_first", path=r"^/speaks-first/$"),
    route("websocket.connect", "idioms.consumers.faked", path=r"^/faked/$"),
    route("websocket.connect", "idioms.consumers.headers", path=r"^/headers/$"),
    route("websocket.receive", "idioms.consumers.binary", path=r"^/binary/$"),
    route("websocket.receive", "idioms.consumers.close_with_code", path=r"^/close/$"),
]

dict_routing = {
    "orders.new": "idioms.consumers.order",
    "ignored": null_consumer,
}
