from channels import route_class

from values.consumers import Demultiplexer

channel_routing = [
    route_class(Demultiplexer, path=r"^/values/stream/$"),
]
