"""The same work as routechan consumers, plain and async."""

from __future__ import annotations

from routechan import Group, Message, route


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


async def aaccept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


async def aecho(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


def join(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("all").add(message.reply_channel)


async def ajoin(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    await Group("all").aadd(message.reply_channel)


def fanout(message: Message) -> None:
    Group("all").send({"text": message["text"]})


async def afanout(message: Message) -> None:
    Group("all").send({"text": message["text"]})


def leave(message: Message) -> None:
    Group("all").discard(message.reply_channel)


async def aleave(message: Message) -> None:
    await Group("all").adiscard(message.reply_channel)


routing = [
    route("websocket.connect", accept, path=r"^/echo/sync$"),
    route("websocket.receive", echo, path=r"^/echo/sync$"),
    route("websocket.connect", aaccept, path=r"^/echo/async$"),
    route("websocket.receive", aecho, path=r"^/echo/async$"),
    route("websocket.connect", join, path=r"^/fanout/sync$"),
    route("websocket.receive", fanout, path=r"^/fanout/sync$"),
    route("websocket.disconnect", leave, path=r"^/fanout/sync$"),
    route("websocket.connect", ajoin, path=r"^/fanout/async$"),
    route("websocket.receive", afanout, path=r"^/fanout/async$"),
    route("websocket.disconnect", aleave, path=r"^/fanout/async$"),
]
