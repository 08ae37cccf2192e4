from channels.generic.websockets import JsonWebsocketConsumer, WebsocketDemultiplexer

from .models import ValueBinding


class Counting(JsonWebsocketConsumer):
    """Answers on its own stream, through the multiplexer it is given (GN-30)."""

    def connect(self, message, multiplexer, **kwargs):
        multiplexer.send({"you": message.user.username})

    def receive(self, content, multiplexer, **kwargs):
        multiplexer.send({"characters": len(content["text"])})


class Demultiplexer(WebsocketDemultiplexer):
    http_user = True
    consumers = {
        "values": ValueBinding.consumer,
        "counting": Counting,
    }

    def connection_groups(self, **kwargs):
        return ["values"]
