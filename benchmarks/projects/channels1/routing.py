"""The work as consumers of Channels 1.x."""

from channels import Group
from channels.routing import route


def accept(message):
    message.reply_channel.send({"accept": True})


def echo(message):
    message.reply_channel.send({"text": message.content["text"]})


def join(message, room):
    Group("room-" + room).add(message.reply_channel)
    message.reply_channel.send({"accept": True})


def chat(message, room):
    Group("room-" + room).send({"text": message.content["text"]})


def leave(message, room):
    Group("room-" + room).discard(message.reply_channel)


channel_routing = [
    route("websocket.connect", accept, path=r"^/echo$"),
    route("websocket.receive", echo, path=r"^/echo$"),
    route("websocket.connect", join, path=r"^/chat/(?P<room>\w+)$"),
    route("websocket.receive", chat, path=r"^/chat/(?P<room>\w+)$"),
    route("websocket.disconnect", leave, path=r"^/chat/(?P<room>\w+)$"),
]
