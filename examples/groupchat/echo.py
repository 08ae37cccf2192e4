"""Echo: one route and no connect consumer, since a socket without one is accepted."""

from routechan import Message, route


def ws_echo(message: Message) -> None:
    message.reply_channel.send({"text": message.content["text"]})


channel_routing = [
    route("websocket.receive", ws_echo),
]
