"""Counts what one warm message costs to read: calls into the library, files opened, switches between files.

``scripts/journey`` prints a table of the journeys below. Each runs with a real Redis and the real ``Application``,
whose server is played by hand. The processes of a journey are event loops on threads of this one, each with a layer
of its own, so that one profile sees them all. Housekeeping (leases, statistics, heartbeats) falls into some messages
and not into others: of many messages the most frequent count is told.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import routechan
from routechan import Group, Message, route
from routechan.app import application, relay_application
from routechan.asgi import Application
from routechan.concurrency import end_tasks
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import RedisChannelLayer
from routechan.routing import Router, default_routes
from routechan.worker import WorkerProcess
from tests.redis_servers import SingleServer

PACKAGE = str(Path(routechan.__file__).parent) + "/"

#: It looks at the threads from time to time, and is on no message's way.
WATCHDOG = PACKAGE + "consumers/watchdog.py"

#: Messages before the first that is counted, and how many are counted.
WARM_UP = 50
COUNTED = 25

#: Seconds without a call after which a message has arrived, and for which it is waited for at most.
QUIET = 0.01
PATIENCE = 10.0

#: The most files that a reader may have to open for a journey.
ALLOWED_FILES = {"inline": 13, "group": 27, "workers": 30}


class Call(NamedTuple):
    """A function of the library that was entered."""

    thread: int
    file: str
    function: str


class Recorder:
    """Notes the calls into the library on all threads that are started after it. Lifetime: process."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._recording = False
        threading.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if not self._recording or event != "call":
            return
        code = frame.f_code
        if code.co_filename == WATCHDOG:
            return
        # Comprehensions are functions up to Python 3.11 only.
        if code.co_filename.startswith(PACKAGE) and code.co_name not in ("<listcomp>", "<setcomp>", "<dictcomp>"):
            name = getattr(code, "co_qualname", code.co_name)
            self.calls.append(Call(threading.get_ident(), code.co_filename.removeprefix(PACKAGE), name))

    def record(self, work: Callable[[], None]) -> list[Call]:
        """The calls while ``work`` runs, and until there are no more of them."""
        self.calls = []
        self._recording = True
        try:
            work()
            self.wait_until_quiet()
        finally:
            self._recording = False
        return self.calls

    def wait_until_quiet(self) -> None:
        seen = -1
        while seen != len(self.calls):
            seen = len(self.calls)
            time.sleep(QUIET)


class Cost(NamedTuple):
    """What one message takes to read."""

    calls: int
    files: int
    switches: int

    @classmethod
    def of(cls, calls: list[Call]) -> Cost:
        """A switch is a call in another file than the call before it on the same thread."""
        last: dict[int, str] = {}
        switches = 0
        for call in calls:
            switches += last.get(call.thread, call.file) != call.file
            last[call.thread] = call.file
        return cls(len(calls), len({call.file for call in calls}), switches)


class Process:
    """An event loop on a thread, with a layer of its own: one process of a site. Use with ``with``."""

    def __init__(self, redis: SingleServer) -> None:
        self.layer = RedisChannelLayer(hosts=redis.hosts, prefix="journey")
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Process:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.run(_end_all_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
        self.layer.close()

    def run(self, work: Any) -> Any:
        """The result of a coroutine that runs on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)


async def _end_all_tasks() -> None:
    await end_tasks(*asyncio.all_tasks() - {asyncio.current_task()})


class Socket:
    """A WebSocket, as a server would hand it to the application. Use with ``with``."""

    def __init__(self, process: Process, application: Application, path: str) -> None:
        self._process = process
        self._application = application
        self._path = path
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changed = threading.Condition()
        self._asked = 0  # how often the application asked for an event
        self._given = 0
        self.sent: list[dict[str, Any]] = []

    def __enter__(self) -> Socket:
        scope = {"type": "websocket", "path": self._path, "headers": [], "query_string": b""}
        served = self._application(scope, self._receive, self._send)
        self._served = asyncio.run_coroutine_threadsafe(served, self._process.loop)
        self.push({"type": "websocket.connect"})
        self.wait_for_sent(1)
        if self.sent != [{"type": "websocket.accept", **self.sent[0]}]:
            raise AssertionError(f"the application did not accept: {self.sent}")
        return self

    def __exit__(self, *exception: object) -> None:
        self.push({"type": "websocket.disconnect", "code": 1001})
        self._served.result(PATIENCE)

    def push(self, event: dict[str, Any]) -> None:
        """Give the application an event; back when it asks for the next one."""
        with self._changed:
            self._given += 1
        self._process.loop.call_soon_threadsafe(self._events.put_nowait, event)
        if event["type"] != "websocket.disconnect":
            self._wait(lambda: self._asked > self._given, "the application asks for the next event")

    def wait_for_sent(self, count: int) -> None:
        self._wait(lambda: len(self.sent) >= count, f"{count} events were sent to the client")

    async def _receive(self) -> dict[str, Any]:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
        return await self._events.get()

    async def _send(self, event: dict[str, Any]) -> None:
        with self._changed:
            self.sent.append(event)
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, PATIENCE):
                raise AssertionError(f"not within {PATIENCE:g} s: {what}")


def connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("everyone", channel_layer=message.channel_layer).add(message.reply_channel)


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


def tell_everyone(message: Message) -> None:
    Group("everyone", channel_layer=message.channel_layer).send({"text": message["text"]})


def listen(message: Message) -> None:
    message.reply_channel.send({"accept": True})


ROUTING = [
    # One end of a group's journey is a member, the other one is not: its own reply would be counted too.
    route("websocket.connect", listen, path="^/tell/$"),
    route("websocket.connect", connect),
    route("websocket.receive", tell_everyone, path="^/tell/$"),
    route("websocket.receive", echo),
]


@contextmanager
def inline(redis: SingleServer) -> Iterator[Callable[[], None]]:
    """A frame, a plain consumer in the server process, its reply."""
    with Process(redis) as server, Socket(server, application(ROUTING, server.layer), "/echo/") as socket:
        yield lambda: _frame(socket, socket)


@contextmanager
def group(redis: SingleServer) -> Iterator[Callable[[], None]]:
    """A frame, Group.send in a plain consumer, Redis, a socket of another process."""
    with ExitStack() as stack:
        member = _member(stack, redis)
        here = stack.enter_context(Process(redis))
        socket = stack.enter_context(Socket(here, application(ROUTING, here.layer), "/tell/"))
        yield lambda: _frame(socket, member)


@contextmanager
def workers(redis: SingleServer) -> Iterator[Callable[[], None]]:
    """A frame, a worker's plain consumer, its reply, and the server taking the next event."""
    router = Router(ROUTING, defaults=default_routes())
    with Process(redis) as server, Process(redis) as other:
        worker = other.run(_make_worker(router, other))
        running = asyncio.run_coroutine_threadsafe(worker.run(), other.loop)
        with Socket(server, relay_application(server.layer), "/echo/") as socket:
            yield lambda: _frame(socket, socket)
        worker.stop()
        running.result(PATIENCE)


@contextmanager
def thread(redis: SingleServer) -> Iterator[Callable[[], None]]:
    """Group.send on a plain thread, Redis, a socket of another process."""
    with ExitStack() as stack:
        member = _member(stack, redis)
        layer = RedisChannelLayer(hosts=redis.hosts, prefix="journey")
        stack.callback(layer.close)
        sender = stack.enter_context(ThreadPoolExecutor(1))
        everyone = Group("everyone", channel_layer=layer)

        def journey() -> None:
            expected = len(member.sent) + 1
            sender.submit(everyone.send, {"text": "hello"}).result(PATIENCE)
            member.wait_for_sent(expected)

        yield journey


JOURNEYS = {journey.__name__: journey for journey in (inline, group, workers, thread)}


def _member(stack: ExitStack, redis: SingleServer) -> Socket:
    """A socket of a process of its own, in the group."""
    elsewhere = stack.enter_context(Process(redis))
    return stack.enter_context(Socket(elsewhere, application(ROUTING, elsewhere.layer), "/echo/"))


def _frame(socket: Socket, answered: Socket) -> None:
    """One frame of ``socket``, until its consumer has run and ``answered`` has got a message."""
    expected = len(answered.sent) + 1
    socket.push({"type": "websocket.receive", "text": "hello"})
    answered.wait_for_sent(expected)


async def _make_worker(router: Router, process: Process) -> WorkerProcess:
    return WorkerProcess(Dispatcher(router), process.layer.sync, router.channels)


def walk(name: str, recorder: Recorder, redis: SingleServer) -> list[Call]:
    """The calls of the message that met the least of what goes on beside it: heartbeats, housekeeping."""
    with JOURNEYS[name](redis) as journey:
        for _ in range(WARM_UP):
            journey()
        walks = []
        for _ in range(COUNTED):
            recorder.wait_until_quiet()
            walks.append(recorder.record(journey))
    return min(walks, key=lambda calls: (Cost.of(calls).files, len(calls)))


def too_many(name: str, cost: Cost) -> str | None:
    """What is wrong with a journey, or None."""
    allowed = ALLOWED_FILES.get(name)
    if allowed is None or cost.files <= allowed:
        return None
    return f"{name}: {cost.files} files, at most {allowed} are allowed"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/journey", description="Counts what one warm message costs to read.")
    parser.add_argument("--check", action="store_true", help="fail when a journey opens more files than allowed")
    parser.add_argument("--files", metavar="JOURNEY", choices=JOURNEYS, help="the files in the order they are entered")
    parser.add_argument("--calls", metavar="JOURNEY", choices=JOURNEYS, help="the calls, in order")
    arguments = parser.parse_args()
    one = arguments.files or arguments.calls
    recorder = Recorder()
    broken = []
    if not one:
        print(f"{'journey':<9}{'calls':>6}{'files':>6}{'switches':>9}")
    with SingleServer() as redis:
        for name in [one] if one else JOURNEYS:
            redis.flushall()
            calls = walk(name, recorder, redis)
            if arguments.files:
                print(*dict.fromkeys(call.file for call in calls), sep="\n")
            elif arguments.calls:
                threads = {ident: number for number, ident in enumerate(Counter(call.thread for call in calls))}
                for call in calls:
                    print(f"thread {threads[call.thread]}  {call.file}  {call.function}")
            else:
                cost = Cost.of(calls)
                print(f"{name:<9}{cost.calls:>6}{cost.files:>6}{cost.switches:>9}  {JOURNEYS[name].__doc__}")
                broken += [wrong] if (wrong := too_many(name, cost)) else []
    if arguments.check:
        for wrong in broken:
            print("!!", wrong, file=sys.stderr)
        return 1 if broken else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
