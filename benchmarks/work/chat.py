"""A mixed chat: rooms that talk, while visitors come, say one thing to a room of their own, and go."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import picows
import systems
import uvloop
from client import Load, LoadError, Socket
from sample import Sample
from systems import SYSTEMS

from .base import Work

if TYPE_CHECKING:
    from bench import Bench

MEMBERS, VISITORS = 20, 4


class Room:
    """Members who speak in turn. Lifetime: one sample."""

    def __init__(self) -> None:
        self.members: list[Guest] = []
        self.rounds = 0
        self.missing = 0

    def speak(self, load: Load) -> None:
        self.missing = len(self.members)
        load.due += self.missing
        self.members[self.rounds % len(self.members)].send()
        self.rounds += 1


class Guest(Socket):
    """A member of a room. Lifetime: one connection."""

    def __init__(self, load: Load, room: Room) -> None:
        super().__init__(load)
        self.room = room
        self.count = 0
        room.members.append(self)

    def got(self) -> None:
        load, room = self.load, self.room
        load.received += 1
        self.count += 1
        room.missing -= 1
        if self.count > room.rounds:
            self.fail("a message came twice")
        elif not room.missing and load.sending:
            room.speak(load)


class Visitor(Socket):
    """Says one thing and hears it. Lifetime: one connection."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def got(self) -> None:
        self.load.received += 1
        if self.heard.done():
            return self.fail("a message came twice")
        return self.heard.set_result(None)


async def visit(load: Load, url: str, number: int) -> None:
    """One visitor after the other."""
    visits = 0
    while load.sending and load.trouble is None:
        visits += 1
        visitor = Visitor(load)
        await picows.ws_connect(lambda visitor=visitor: visitor, url.format(room=f"visit{number}x{visits}"))
        load.due += 1
        visitor.send()
        await asyncio.wait_for(visitor.heard, 10)
        visitor.leave()
        await visitor.transport.wait_disconnected()


async def chat(bench: Bench, name: str, count: int) -> Sample:
    with bench.running(name, "chat") as running:
        load = Load(running, bench.cpus(name), bench.headers(name))
        rooms = [Room() for _ in range(count)]
        for number, room in enumerate(rooms):
            await load.open(running.urls(room=f"room{number}") * MEMBERS, partial(Guest, load, room))
        visits: list[asyncio.Future[None]] = []
        try:
            for room in rooms:
                room.speak(load)
            url = running.urls(room="{room}")[0]
            visits = [asyncio.ensure_future(visit(load, url, number)) for number in range(VISITORS)]
            sample = await load.window(bench.warmup, bench.seconds)
        finally:
            load.sending = False
            await asyncio.gather(*visits)
            await load.close()
        for room in rooms:
            if any(member.count != room.rounds for member in room.members):
                raise LoadError("a member did not hear what was said in its room")
        return sample


def take(bench: Bench, name: str, count: int) -> Sample:
    """Deliveries a second in ``count`` rooms."""
    return uvloop.run(chat(bench, name, count))


_without = ("1 thread", "worker", systems.CHANNELS1)

CHAT = Work(
    "chat",
    f"Mixed chat: 20 rooms of {MEMBERS} who speak in turn, and {VISITORS} visitors at a time who come, speak and go",
    "deliveries/s",
    take,
    {
        20: tuple(
            name
            for name, system in SYSTEMS.items()
            if "chat" in system.targets and not any(part in name for part in _without)
        )
    },
)
