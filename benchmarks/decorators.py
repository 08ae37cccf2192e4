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
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer, channel_layers
from routechan.outbox import flush_sync
from routechan.routing import Router
from routechan_django import auth, sessions

HERE = Path(__file__).resolve().parent
ENGINES = ("db", "cached_db")
KINDS = ("sync", "async")

#: What stands before the consumer, by the name in the results.
DECORATORS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda func: func,
    "channel_session": sessions.channel_session,
    "channel_session_user": auth.channel_session_user,
    "channel_session_user_from_http": auth.channel_session_user_from_http,
    "enforce_ordering": sessions.enforce_ordering,
    "enforce_ordering, channel_session_user": lambda func: sessions.enforce_ordering(auth.channel_session_user(func)),
}


def consumer(message: Message) -> None:
    """Does nothing, so that all that is measured is what stands before it."""


async def async_consumer(message: Message) -> None:
    """As ``consumer``."""


class Connection:
    """One connection, whose events come one after another. Lifetime: one sample."""

    def __init__(self, decorate: Callable[[Any], Any], kind: str, name: str, headers: list[list[bytes]]) -> None:
        self.dispatcher = Dispatcher(
            Router([route("websocket.receive", decorate(consumer if kind == "sync" else async_consumer))])
        )
        self.layer = channel_layers["default"]
        self.name = name
        self.headers = headers
        self.order = 0

    def next_run(self) -> Any:
        content = {"reply_channel": self.name, "path": "/", "order": self.order, "text": "x", "headers": self.headers}
        self.order += 1
        return self.dispatcher.match(Message(content, "websocket.receive", self.layer))

    def handle(self) -> None:
        run = self.next_run()
        self.dispatcher.call(run)
        flush_sync(run)

    async def ahandle(self) -> None:
        await self.dispatcher.acall(self.next_run())


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


def perform(connection: Connection, kind: str, enough: Callable[[], bool]) -> None:
    """Events until ``enough``."""
    if kind == "sync":
        while not enough():
            connection.handle()
        return

    async def events() -> None:
        while not enough():
            await connection.ahandle()

    asyncio.run(events())


def for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def for_events(connection: Connection, number: int) -> Callable[[], bool]:
    end = connection.order + number
    return lambda: connection.order >= end


def sample(connection: Connection, kind: str, seconds: float) -> tuple[float, float]:
    """Events per second, and queries per event, of a connection that has had its first event."""
    perform(connection, kind, for_events(connection, 20))
    with Queries() as queries:
        perform(connection, kind, for_events(connection, 20))
    before = connection.order
    gc.collect()
    started = time.perf_counter()
    perform(connection, kind, for_seconds(seconds))
    return (connection.order - before) / (time.perf_counter() - started), queries.count / 20


def set_up(folder: str) -> list[list[bytes]]:
    """Django with a database file of its own; the headers of a browser where a user is logged in."""
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
    return [[b"host", b"example.com"], [b"cookie", f"theme=dark; sessionid={log_in()}".encode()]]


def log_in() -> str:
    """The key of a session in which a user is logged in."""
    user = get_user_model().objects.create(username="joe", password="x")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


Samples = dict[str, dict[str, list[tuple[float, float]]]]


def table(samples: Samples) -> str:
    lines = [["consumer", "sessions in", "events/s", "microseconds more", "queries/event"]]
    for kind in KINDS:
        for engine in ENGINES:
            found = samples[f"{kind} {engine}"]
            plain = statistics.median(rate for rate, _ in found["plain"])
            for name, taken in found.items():
                rate = statistics.median(rate for rate, _ in taken)
                more = (1 / rate - 1 / plain) * 1e6
                lines.append([f"{kind}, {name}", engine, f"{rate:,.0f}", f"{more:,.0f}", f"{taken[0][1]:g}"])
    return rst_table(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=1, help="length of a sample (default 1)")
    parser.add_argument("--quick", action="store_true", help="one round of short samples: does it work?")
    parser.add_argument("--out", type=Path, help="folder for table and samples (default: results, not if quick)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.quick:
        options.rounds, options.seconds = 1, 0.1
    samples: Samples = {f"{kind} {engine}": {name: [] for name in DECORATORS} for kind in KINDS for engine in ENGINES}
    with tempfile.TemporaryDirectory() as folder:
        headers = set_up(folder)
        for number in range(options.rounds):
            for engine in ENGINES:
                settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
                for kind in KINDS:
                    for index, (name, decorate) in enumerate(DECORATORS.items()):
                        connection = Connection(decorate, kind, f"reply.{engine}.{kind}.{index}.{number}", headers)
                        samples[f"{kind} {engine}"][name].append(sample(connection, kind, options.seconds))
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
