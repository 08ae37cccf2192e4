"""A running site: rooms of sockets, messages at a fixed rate, and what each process takes for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import machine
from client import Load, LoadError, Socket
from redis_server import RedisServer
from running import Running

from .model import Use


class Room:
    """Sockets that all get what one of them sends. Lifetime: one sample.

    Args:
        load: Counts what is due.
        speakers: The servers from whose sockets messages come, in turn.
    """

    def __init__(self, load: Load, speakers: Sequence[int]) -> None:
        self._load = load
        self._speakers = speakers
        self.members: list[Guest] = []
        self.first: dict[int, Guest] = {}
        self.sent = 0

    def speak(self) -> None:
        """Have one member send, of the server whose turn it is."""
        self._load.due += len(self.members)
        guest = self.first[self._speakers[self.sent % len(self._speakers)]]
        self.sent += 1
        guest.send()


class Guest(Socket):
    """A member of a room. Lifetime: one connection."""

    def __init__(self, load: Load, room: Room) -> None:
        super().__init__(load)
        self._room = room
        self.count = 0

    def got(self) -> None:
        self.load.received += 1
        self.count += 1
        if self.count > self._room.sent:
            self.fail("a message came twice")


@dataclass(frozen=True)
class Spent:
    """What a window took: each second of each process, and how many messages were sent each second."""

    sends: float
    servers: list[Use]
    nodes: list[Use]
    worker: float


class Site:
    """A system that has been started, with sockets. Lifetime: one sample, within a running event loop.

    Args:
        running: Its processes.
        nodes: Its Redis servers.
    """

    def __init__(self, running: Running, nodes: Sequence[RedisServer]) -> None:
        self.running = running
        self._nodes = nodes
        self.load = Load(running, machine.cpus())
        self._rooms: list[Room] = []

    async def open(self, name: str, members: Sequence[int], speakers: Sequence[int] = (0,)) -> Room:
        """A room.

        Args:
            name: In its path.
            members: How many sockets it has on each server, in the order of the servers.
            speakers: The servers from whose sockets messages come, in turn.

        Returns:
            The room, with open sockets.
        """
        room = Room(self.load, speakers)
        for number, (url, count) in enumerate(zip(self.running.urls(room=name), members, strict=False)):
            guests = await self.load.open([url] * count, lambda: Guest(self.load, room))
            room.members += guests
            if guests:
                room.first[number] = guests[0]
        self._rooms.append(room)
        return room

    async def settle(self, seconds: float = 1.0) -> None:
        """Wait until who was accepted last is a member too."""
        await asyncio.sleep(seconds)

    async def window(self, rooms: Sequence[Room], rate: float, seconds: float) -> Spent:
        """Send to one room after the other, ``rate`` messages a second, and see what it takes until all have come."""
        before = self._reading()
        began, sent = time.monotonic(), 0
        while (due := began + sent / rate if rooms else began + seconds) < began + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            rooms[sent % len(rooms)].speak()
            sent += 1
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        await self._all_have_come()
        return self._since(before, sent)

    async def once(self, room: Room) -> Spent:
        """Send one message, and see what it takes until all have it."""
        before = self._reading()
        room.speak()
        await self._all_have_come(30.0)
        return self._since(before, 1)

    def memory(self, server: int) -> int:
        """Bytes that one of the servers holds."""
        return machine.resident(self.running.pids()[server])

    async def close(self) -> None:
        """Close all sockets.

        Raises:
            LoadError: If anything was lost or came twice.
        """
        await self.load.close()
        for room in self._rooms:
            if any(member.count != room.sent for member in room.members):
                raise LoadError("some members received a message twice, others not at all")

    async def _all_have_come(self, patience: float = 10.0) -> None:
        deadline = time.monotonic() + patience
        while self.load.received < self.load.due and self.load.trouble is None and time.monotonic() < deadline:
            await asyncio.sleep(0.001)

    def _reading(self) -> tuple[float, list[Use], list[Use], float]:
        servers = [Use(machine.precise_cpu_seconds(pid), machine.resident(pid)) for pid in self.running.pids()]
        nodes = [used_by(node) for node in self._nodes]
        worker = sum(map(machine.precise_cpu_seconds, self.running.pids("worker")))
        return time.monotonic(), servers, nodes, worker

    def _since(self, before: tuple[float, list[Use], list[Use], float], sent: int) -> Spent:
        now = self._reading()
        took = now[0] - before[0]
        servers = [Use((new.cpu - old.cpu) / took, new.memory) for old, new in zip(before[1], now[1], strict=True)]
        nodes = [each_second(old, new, took) for old, new in zip(before[2], now[2], strict=True)]
        return Spent(sent / took, servers, nodes, (now[3] - before[3]) / took)


def used_by(node: RedisServer) -> Use:
    """What a Redis server has used so far."""
    calls = node.calls()
    cpu = machine.precise_cpu_seconds(node.pid)
    notes = 2 * calls.get("hincrby", 0)  # only the statistics use it, each time with a PEXPIRE
    return Use(cpu, calls=sum(calls.values()), notes=notes)


def each_second(old: Use, new: Use, took: float) -> Use:
    """What a Redis server used each second between two readings."""
    calls, notes = new.calls - old.calls, new.notes - old.notes
    return Use((new.cpu - old.cpu) / took, calls=calls / took, notes=notes / took)
