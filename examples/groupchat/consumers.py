"""Group chat: one group for everybody, then one for each room."""

from routechan import Group, Message


def ws_connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("chat").add(message.reply_channel)


def ws_receive(message: Message) -> None:
    Group("chat").send({"text": "[user] " + message.content["text"]})


def ws_disconnect(message: Message) -> None:
    Group("chat").discard(message.reply_channel)


def room_connect(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    Group("chat-" + room).add(message.reply_channel)


def room_receive(message: Message, room: str) -> None:
    Group("chat-" + room).send({"text": "[user] " + message.content["text"]})


def room_disconnect(message: Message, room: str) -> None:
    Group("chat-" + room).discard(message.reply_channel)
