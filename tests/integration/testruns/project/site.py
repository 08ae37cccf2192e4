"""The consumers; there are no pages."""

from __future__ import annotations

from routechan import Channel, Group, Message, route


def join(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("lobby").add(message.reply_channel)


def say(message: Message) -> None:
    Group("lobby").send({"text": message["text"]})
    Channel("thumbnail").send({"of": message["text"]})


channel_routing = [route("websocket.connect", join), route("websocket.receive", say)]

urlpatterns: list[object] = []
