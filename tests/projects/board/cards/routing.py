from channels import route
from channels.routing import null_consumer


def accept(message):
    message.reply_channel.send({"accept": True})


ticker_routing = [
    route("websocket.connect", accept, path="^/$"),
    route("websocket.receive", null_consumer, path="^/$"),
]
