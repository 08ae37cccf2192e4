"""Consumers that say who is in a room, and tell those who watch it of joins and leaves."""

from __future__ import annotations

import json

from routechan import Group, Message, route


def connect(message: Message, name: str) -> None:
    message.reply_channel.send({"accept": True})
    Group("room-1").add(message.reply_channel, who={"id": name})


def watch(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("watchers").add(message.reply_channel)


def told(message: Message, number: str) -> None:
    text = f"{message.channel.name} {number} {message['who']['id']}"
    Group("watchers").send({"text": text})


async def present(message: Message) -> None:
    """Who is there, for whoever sends anything."""
    people = await Group("room-1").apresent()
    message.reply_channel.send({"text": json.dumps([who["id"] for who in people])})


def leave(message: Message, name: str) -> None:
    Group("room-1").discard(message.reply_channel)


channel_routing = [
    route("websocket.connect", connect, path=r"^/in/(?P<name>\w+)$"),
    route("websocket.receive", present),
    route("websocket.disconnect", leave, path=r"^/in/(?P<name>ann)$"),  # for others the end of the socket has to do
    route("websocket.connect", watch, path=r"^/watch$"),
    route(["group.join", "group.leave"], told, group=r"^room-(?P<number>\d+)$"),
]
