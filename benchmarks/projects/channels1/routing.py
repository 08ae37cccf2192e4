"""Echo as a consumer of Channels 1.x."""

from channels.routing import route


def accept(message):
    message.reply_channel.send({"accept": True})


def echo(message):
    message.reply_channel.send({"text": message.content["text"]})


channel_routing = [
    route("websocket.connect", accept),
    route("websocket.receive", echo),
]
