"""What do the session decorators cost an event? ``python benchmarks/decorators.py``

In this process, through the dispatcher, with real sessions in an SQLite file: no server and no socket.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import machine
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.db.backends.utils import CursorWrapper
from tables import page, rst_table

from routechan import Message, route
from routechan.concurrency import maybe_await
from routechan.consumers.connection import Connection, Runtime
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer, channel_layers
from routechan.outbox import flush_sync
from routechan.routing import Router
from routechan_django import auth, sessions

HERE = Path(__file__).resolve().parent
ENGINES = ("db", "cached_db")
KINDS = ("sync", "async")

#: Where events are handed in: by the server that holds the socket, to consumers in its process, or over a layer.
PLACES = ("inline", "worker")

LOGGED_IN = "channel_session_user, user used"

#: What stands before the consumer, by the name in the results.
DECORATORS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda func: func,
    "channel_session": sessions.channel_session,
    "channel_session_user": auth.channel_session_user,
    LOGGED_IN: auth.channel_session_user,
    "channel_session_user_from_http": auth.channel_session_user_from_http,
    "enforce_ordering": sessions.enforce_ordering,
    "enforce_ordering, channel_session_user": lambda func: sessions.enforce_ordering(auth.channel_session_user(func)),
}


def consumer(message: Message) -> None:
    """Does nothing, so that all that is measured is what stands before it."""


async def async_consumer(message: Message) -> None:
    """As ``consumer``."""


def user_consumer(message: Any) -> None:
    """Uses its user, who is logged in."""
    _ = message.user.username


async def async_user_consumer(message: Any) -> None:
    """As ``user_consumer``."""
    _ = message.user.username


CONSUMERS = {"sync": (consumer, user_consumer), "async": (async_consumer, async_user_consumer)}


class Outlet:
    """The server's side of a connection, to which nothing is sent. Lifetime: one sample."""

    closed = paced = False

    def __init__(self, name: str) -> None:
        self.name = self.client = name
        self.changes = 0

    def deliver(self, content: Any) -> None:
        """Deliver nothing."""


async def own_reply_channel(name: str, layer: Any) -> Any:
    """The reply channel that events of a socket of this process have."""
    found: list[Any] = []

    async def connect(message: Message) -> None:
        found.append(message.reply_channel)

    runtime = Runtime(Dispatcher(Router([route("websocket.connect", connect)])), layer, 1)
    await maybe_await(Connection(runtime, Outlet(name)).handle("websocket.connect", {}))  # type: ignore[arg-type]
    await runtime.stop()
    return found[0]


class Events:
    """The events of one connection, which come one after another. Lifetime: one sample.

    Args:
        decorator: The name of what stands before the consumer.
        kind: That of the consumer.
        place: Where the events are handed in.
        name: The reply channel.
        headers: Those of a browser where a user is logged in.
        login: What is in the session of such a browser.
    """

    def __init__(
        self, decorator: str, kind: str, place: str, name: str, headers: list[list[bytes]], login: dict[str, Any]
    ) -> None:
        does = CONSUMERS[kind][decorator == LOGGED_IN]
        self.dispatcher = Dispatcher(Router([route("websocket.receive", DECORATORS[decorator](does))]))
        self.layer = channel_layers["default"]
        self.name = name
        self.headers = headers
        self.order = 0
        self.reply_channel = asyncio.run(own_reply_channel(name, self.layer)) if place == "inline" else None
        if decorator == LOGGED_IN:
            session = sessions.session_for_reply_channel(name)
            session.update(login)
            session.save()

    def next_run(self) -> Any:
        content = {"reply_channel": self.name, "path": "/", "order": self.order, "text": "x", "headers": self.headers}
        self.order += 1
        return self.dispatcher.match(Message(content, "websocket.receive", self.layer, self.reply_channel))

    def handle(self) -> None:
        run = self.next_run()
        self.dispatcher.call(run)
        flush_sync(run)

    async def ahandle(self) -> None:
        await maybe_await(self.dispatcher.acall(self.next_run()))


class Queries:
    """Counts the statements of all threads, without those of transactions, while it is entered."""

    def __enter__(self) -> Queries:
        self.count = 0
        self._execute = CursorWrapper.execute

        def counted(cursor: CursorWrapper, sql: str, params: Any = None) -> Any:
            self.count += sql.split(" ", 1)[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")
            return self._execute(cursor, sql, params)

        CursorWrapper.execute = counted  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        CursorWrapper.execute = self._execute  # type: ignore[method-assign]


def perform(events: Events, kind: str, enough: Callable[[], bool]) -> None:
    """Events until ``enough``."""
    if kind == "sync":
        while not enough():
            events.handle()
        return

    async def all_events() -> None:
        while not enough():
            await events.ahandle()

    asyncio.run(all_events())


def for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def for_events(events: Events, number: int) -> Callable[[], bool]:
    end = events.order + number
    return lambda: events.order >= end


def sample(events: Events, kind: str, seconds: float) -> tuple[float, float]:
    """Per second, and queries for each, after the first events of a connection."""
    perform(events, kind, for_events(events, 20))
    with Queries() as queries:
        perform(events, kind, for_events(events, 20))
    before = events.order
    gc.collect()
    started = time.perf_counter()
    perform(events, kind, for_seconds(seconds))
    return (events.order - before) / (time.perf_counter() - started), queries.count / 20


def set_up(folder: str) -> tuple[list[list[bytes]], dict[str, Any]]:
    """Django with a database file of its own; the headers of a browser where a user is logged in, and its session."""
    settings.configure(
        SECRET_KEY="not a secret: a benchmark",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    channel_layers.set("default", InMemoryChannelLayer().sync)
    session = log_in()
    cookie = f"theme=dark; sessionid={session.session_key}".encode()
    return [[b"host", b"example.com"], [b"cookie", cookie]], dict(session.items())


def log_in() -> SessionStore:
    """A session in which a user is logged in."""
    user = get_user_model().objects.create(username="joe", password="x")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return session


def keys() -> list[tuple[str, str, str]]:
    """Place, kind and engine of each block of the results."""
    return [(place, kind, engine) for place in PLACES for kind in KINDS for engine in ENGINES]


Samples = dict[str, dict[str, list[tuple[float, float]]]]


def table(samples: Samples) -> str:
    lines = [["consumers", "consumer", "sessions in", "events/s", "microseconds more", "queries/event"]]
    for place, kind, engine in keys():
        found = samples[f"{place} {kind} {engine}"]
        plain = statistics.median(rate for rate, _ in found["plain"])
        for name, taken in found.items():
            rate = statistics.median(rate for rate, _ in taken)
            more = (1 / rate - 1 / plain) * 1e6
            lines.append([place, f"{kind}, {name}", engine, f"{rate:,.0f}", f"{more:,.0f}", f"{taken[0][1]:g}"])
    return rst_table(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a sample (default 0.5)")
    parser.add_argument("--quick", action="store_true", help="one round of short samples: does it work?")
    parser.add_argument("--out", type=Path, help="folder for table and samples (default: results, not if quick)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.quick:
        options.rounds, options.seconds = 1, 0.1
    samples: Samples = {" ".join(key): {name: [] for name in DECORATORS} for key in keys()}
    with tempfile.TemporaryDirectory() as folder:
        headers, login = set_up(folder)
        for number in range(options.rounds):
            for place, kind, engine in keys():
                settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
                for index, name in enumerate(DECORATORS):
                    reply_channel = f"reply.{place}.{engine}.{kind}.{index}.{number}"
                    events = Events(name, kind, place, reply_channel, headers, login)
                    samples[f"{place} {kind} {engine}"][name].append(sample(events, kind, options.seconds))
            print(f"round {number + 1} of {options.rounds}", flush=True)
    facts = {
        **machine.describe(("django", "asgiref")),
        "code": machine.code(HERE.parent / "routechan", HERE.parent / "routechan_django", HERE),
        "sample": f"{options.rounds} of {options.seconds:g} s",
        "command": "python benchmarks/decorators.py",
    }
    text = page("Session decorators", facts, table(samples))
    print(text)
    out = options.out or (None if options.quick else HERE / "results")
    if out is not None:
        out.mkdir(exist_ok=True)
        (out / "decorators.rst").write_text(text)
        (out / "decorators.json").write_text(json.dumps({"facts": facts, "samples": samples}, indent=1) + "\n")


if __name__ == "__main__":
    main()
