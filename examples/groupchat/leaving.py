"""A group in the path, a greeting, and two ways to leave: the browser closes, or asks us to."""

from routechan import Group, Message


def ws_connect(message: Message, group: str) -> None:
    message.reply_channel.send({"accept": True})
    message.reply_channel.send({"text": "Welcome to " + group})
    Group("room-" + group).add(message.reply_channel)


def ws_receive(message: Message, group: str) -> None:
    text = message.content["text"]
    if text == "/leave":
        message.reply_channel.send({"text": "Goodbye"})
        message.reply_channel.send({"close": True})
    else:
        Group("room-" + group).send({"text": text})


def ws_disconnect(message: Message, group: str) -> None:
    Group("room-" + group).discard(message.reply_channel)
