"""Group chat: one group for everybody, then one for each room."""

from routechan import Group


def ws_connect(message):
    message.reply_channel.send({"accept": True})
    Group("chat").add(message.reply_channel)


def ws_receive(message):
    Group("chat").send({"text": "[user] " + message.content["text"]})


def ws_disconnect(message):
    Group("chat").discard(message.reply_channel)


def room_connect(message, room):
    message.reply_channel.send({"accept": True})
    Group("chat-" + room).add(message.reply_channel)


def room_receive(message, room):
    Group("chat-" + room).send({"text": "[user] " + message.content["text"]})


def room_disconnect(message, room):
    Group("chat-" + room).discard(message.reply_channel)
