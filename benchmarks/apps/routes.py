"""The work as routechan consumers, plain and async."""

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


def join_room(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    Group(f"room-{room}").add(message.reply_channel)


async def ajoin_room(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    await Group(f"room-{room}").aadd(message.reply_channel)


def chat(message: Message, room: str) -> None:
    Group(f"room-{room}").send({"text": message["text"]})


async def achat(message: Message, room: str) -> None:
    Group(f"room-{room}").send({"text": message["text"]})


def leave_room(message: Message, room: str) -> None:
    Group(f"room-{room}").discard(message.reply_channel)


async def aleave_room(message: Message, room: str) -> None:
    await Group(f"room-{room}").adiscard(message.reply_channel)


PAGE = {"status": 200, "headers": [(b"content-type", b"text/plain"), (b"content-length", b"5")], "content": b"hello"}


def page(message: Message) -> None:
    message.reply_channel.send(PAGE)


async def apage(message: Message) -> None:
    message.reply_channel.send(PAGE)


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
    route("websocket.connect", join_room, path=r"^/chat/sync/(?P<room>\w+)$"),
    route("websocket.receive", chat, path=r"^/chat/sync/(?P<room>\w+)$"),
    route("websocket.disconnect", leave_room, path=r"^/chat/sync/(?P<room>\w+)$"),
    route("websocket.connect", ajoin_room, path=r"^/chat/async/(?P<room>\w+)$"),
    route("websocket.receive", achat, path=r"^/chat/async/(?P<room>\w+)$"),
    route("websocket.disconnect", aleave_room, path=r"^/chat/async/(?P<room>\w+)$"),
    route("http.request", page, path=r"^/page/sync$"),
    route("http.request", apage, path=r"^/page/async$"),
]
