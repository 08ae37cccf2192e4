import channels
from channels.routing import route, route_class

from cards import consumers

channel_routing = [
    route_class(consumers.Demultiplexer, path="^/board/$"),
    consumers.EchoConsumer.as_route(path=r"^/echo/(?P<name>\w+)/$", attrs={"greeting": "hello"}),
    route("reminders", "cards.consumers.remind"),
    channels.include("cards.routing.ticker_routing", path="^/ticker"),
]
