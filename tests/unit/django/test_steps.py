"""What Django does for the database around each request, around each step of a consumer of each kind."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections, transaction
from django.db.backends.signals import connection_created
from django.test import override_settings

from routechan import Message, route
from routechan_django import connections as connections_module
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import Client, apply_routes
from tests.harness import WebSocket
from tests.unit.helpers import of_kind
from tests.waiting import until

from .stepping import ALL_KINDS, ASYNC_KINDS, STREAMS, ask, consumer_of, serve


class Database:
    """A database in a file, whose connections in all threads are known: those to one in memory are never closed."""

    def __init__(self) -> None:
        self.wrappers: list[Any] = []

    def opened(self, connection: Any, **kwargs: Any) -> None:
        if connection.alias == "file" and connection not in self.wrappers:
            self.wrappers.append(connection)

    @property
    def open(self) -> int:
        return sum(wrapper.connection is not None for wrapper in self.wrappers)

    def configure(self, **options: Any) -> None:
        connections.settings["file"].update(options)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    known = Database()
    connections.settings["file"] = {**connections.settings["default"], "NAME": str(tmp_path / "db"), "CONN_MAX_AGE": 0}
    connection_created.connect(known.opened)
    with connections["file"].cursor() as cursor:
        cursor.execute("create table numbers (n integer)")
        cursor.executemany("insert into numbers values (%s)", [(n,) for n in range(20)])
    connections["file"].close()
    known.wrappers.clear()
    yield known
    connection_created.disconnect(known.opened)
    asyncio.run(sync_to_async(_forget)())
    del connections["file"]
    del connections.settings["file"]


def _forget() -> None:
    if hasattr(connections._connections, "file"):  # type: ignore[attr-defined]
        connections["file"].close()
        del connections["file"]


def count() -> int:
    with connections["file"].cursor() as cursor:
        cursor.execute("select count(*) from numbers")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_an_idle_socket_holds_no_connection(layer: ChannelLayerWrapper, database: Database, kind: str) -> None:
    """SG-05: with ``CONN_MAX_AGE`` 0, each event closes what it has opened, where it was opened."""
    async with WebSocket(serve(layer, route("websocket.receive", consumer_of(kind, lambda _: count())))) as socket:
        await socket.accepted()
        for _ in range(3):
            assert await ask(socket) == "20"
            await until(lambda: database.open == 0)
    assert database.wrappers


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_stream_holds_no_connection_between_steps(
    layer: ChannelLayerWrapper, database: Database, kind: str
) -> None:
    """Neither while it waits for its next step nor while it pauses inside one that used none."""
    goes_on = threading.Semaphore(0)
    consumer = consumer_of(kind, lambda _: (goes_on.acquire(), count())[1], steps=3)
    async with WebSocket(serve(layer, route("websocket.receive", consumer))) as socket:
        await socket.accepted()
        socket.send("x")
        for _ in range(3):
            goes_on.release()
            assert await socket.text() == "20"
            assert database.open == 0


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_stream_recovers_after_the_server_dropped_its_connection(
    layer: ChannelLayerWrapper, database: Database, kind: str
) -> None:
    """As views do: the step whose query fails is the last one to fail."""

    def step(number: int) -> str:
        if number == 1:
            connections["file"].ensure_connection()
            connections["file"].connection.close()
        try:
            return str(count())
        except Exception as error:
            return type(error).__name__

    async with WebSocket(serve(layer, route("websocket.receive", consumer_of(kind, step, steps=4)))) as socket:
        await socket.accepted()
        socket.send("x")
        assert [await socket.text() for _ in range(4)] == ["20", "ProgrammingError", "20", "20"]


@pytest.mark.parametrize("what", ["cursor", "transaction", "autocommit off"])
@pytest.mark.parametrize("kind", ["stream", "decorated stream"])
async def test_what_a_plain_stream_goes_on_with_stays_open(
    layer: ChannelLayerWrapper, database: Database, kind: str, what: str
) -> None:
    """Between its steps a connection is kept while a cursor is open or a transaction goes on; after the last, not."""

    def body(message: Message) -> Any:
        connection = connections["file"]
        if what == "cursor":
            with connection.cursor() as cursor:
                cursor.execute("select n from numbers order by n limit 4")
                for row in cursor:
                    yield {"text": str(row[0])}
            yield {"text": "4"}  # ``cursor`` is closed, though there is still a name for it
            yield {"text": str(connection.connection)}
        elif what == "transaction":
            with transaction.atomic(using="file"), connection.cursor() as cursor:
                for number in range(5):
                    cursor.execute("insert into numbers values (%s)", [number])
                    yield {"text": str(number)}
            yield {"text": str(count() - 20 if connection.connection else "lost")}
        else:
            connection.set_autocommit(False)
            for number in range(5):
                connection.cursor().execute("insert into numbers values (%s)", [number])
                yield {"text": str(number)}
            connection.commit()
            connection.set_autocommit(True)
            yield {"text": str(count() - 20)}

    async with WebSocket(serve(layer, route("websocket.receive", of_kind(kind, body)))) as socket:
        await socket.accepted()
        socket.send("x")
        got = [await socket.text() for _ in range(6)]
        assert got == ["0", "1", "2", "3", "4", "None" if what == "cursor" else "5"]
        await until(lambda: database.open == 0)


async def test_async_consumers_leave_each_others_cursors_alone(layer: ChannelLayerWrapper, database: Database) -> None:
    """They share one connection: the end of one that queried does not cut off another's rows."""

    async def rows(message: Message) -> Any:
        def begin() -> Any:
            cursor = connections["file"].cursor()
            cursor.execute("select n from numbers order by n limit 3")
            return cursor

        cursor = await sync_to_async(begin)()
        for _ in range(3):
            yield {"text": str((await sync_to_async(cursor.fetchone)())[0])}
        await sync_to_async(lambda: cursor.close())()

    routing = [
        route("websocket.receive", rows, text="rows"),
        route("websocket.receive", consumer_of("async", lambda _: count())),
    ]
    application = serve(layer, *routing)
    async with WebSocket(application) as socket, WebSocket(application) as other:
        await socket.accepted()
        await other.accepted()
        socket.send("rows")
        for number in range(3):
            assert await socket.text() == str(number)
            assert await ask(other) == "20"
        await until(lambda: database.open == 0)


@pytest.mark.parametrize("kind", ["plain", *ASYNC_KINDS])
async def test_a_connection_past_its_age_runs_no_query(
    layer: ChannelLayerWrapper, database: Database, kind: str
) -> None:
    """``CONN_MAX_AGE``: kept from one event to the next until then; the first query after that has a new one."""
    database.configure(CONN_MAX_AGE=30)

    def step(_: int) -> str:
        count()
        wrapper = connections["file"]
        return f"{id(wrapper.connection)} {time.monotonic() < wrapper.close_at}"

    async with WebSocket(serve(layer, route("websocket.receive", consumer_of(kind, step)))) as socket:
        await socket.accepted()
        first = await ask(socket)
        assert (await ask(socket), database.open) == (first, 1)
        await until(lambda: not _running(database))
        (wrapper,) = database.wrappers
        wrapper.close_at = time.monotonic()
        assert (await ask(socket)).endswith("True")


def test_which_connections_are_old(database: Database) -> None:
    """``CONN_MAX_AGE``, for async consumers: told on their event loop, so that a young connection costs no thread."""
    database.configure(CONN_MAX_AGE=30)

    def look() -> None:
        count()
        wrapper: Any = connections["file"]
        known = connections_module.thread_connections()
        assert [each.wrapper for each in known.known] == [wrapper]
        wrapper.health_check_done = True
        assert not known.has_old()
        assert not wrapper.health_check_done  # before the next query it is checked again, if the settings say so
        wrapper.errors_occurred = True
        assert known.has_old()
        with transaction.atomic(using="file"):
            assert not known.has_old()
        wrapper.errors_occurred = False
        wrapper.close_at = time.monotonic()
        assert known.has_old()
        known.check()
        assert wrapper.connection is None
        assert not known.has_old()

    with ThreadPoolExecutor(1) as pool:  # a thread that knows no other connections
        pool.submit(look).result()


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_stream_that_waits_before_its_query(layer: ChannelLayerWrapper, database: Database, kind: str) -> None:
    """A step begins when the client has taken the last one, and its query may come hours later."""
    database.configure(CONN_MAX_AGE=30)

    def step(number: int) -> str:
        wrapper = connections["file"]
        if number:
            wrapper.close_at = time.monotonic()
        count()
        return str(time.monotonic() < wrapper.close_at)

    async with WebSocket(serve(layer, route("websocket.receive", consumer_of(kind, step, steps=3)))) as socket:
        await socket.accepted()
        socket.send("x")
        assert [await socket.text() for _ in range(3)] == ["True"] * 3


@pytest.mark.parametrize("age", [0, 30])
@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_connection_that_expires_inside_a_step(
    layer: ChannelLayerWrapper, database: Database, kind: str, age: int
) -> None:
    """It is the same one to the end of the step: there may be a lock or a temporary table in it."""
    database.configure(CONN_MAX_AGE=age)

    def step(_: int) -> bool:
        count()
        wrapper = connections["file"]
        first, wrapper.close_at = wrapper.connection, time.monotonic()
        count()
        return wrapper.connection is first

    async with WebSocket(serve(layer, route("websocket.receive", consumer_of(kind, step)))) as socket:
        await socket.accepted()
        assert await ask(socket) == "True"
        await until(lambda: database.open == 0)


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_the_query_after_one_whose_connection_broke(
    layer: ChannelLayerWrapper, database: Database, kind: str
) -> None:
    """A consumer that asks again and again in one step recovers too: only the first query fails."""

    def step(_: int) -> str:
        count()
        connections["file"].connection.close()
        found = []
        with mock.patch.object(type(connections["file"]), "is_usable", return_value=False):
            for _ in range(3):
                try:
                    found.append(str(count()))
                except Exception as error:
                    found.append(type(error).__name__)
        return " ".join(found)

    async with WebSocket(serve(layer, route("websocket.receive", consumer_of(kind, step)))) as socket:
        await socket.accepted()
        assert await ask(socket) == "ProgrammingError 20 20"


def _running(database: Database) -> bool:
    return any(wrapper.in_atomic_block for wrapper in database.wrappers)


async def test_a_task_that_outlives_its_consumer(
    layer: ChannelLayerWrapper, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has opened is closed a little later, though no further event comes."""
    monkeypatch.setattr(connections_module, "LATER", 0.01)

    async def later(message: Message) -> None:
        await asyncio.sleep(0.01)
        await message.reply_channel.asend({"text": str(await sync_to_async(count)())})

    async def consumer(message: Message) -> None:
        tasks.append(asyncio.create_task(later(message)))

    tasks: list[Any] = []
    async with WebSocket(serve(layer, route("websocket.receive", consumer))) as socket:
        await socket.accepted()
        assert await ask(socket) == "20"
        await until(lambda: database.open == 0)


async def test_an_async_consumer_with_a_database_thread_of_its_own(
    layer: ChannelLayerWrapper, database: Database
) -> None:
    """ASGI middleware may have put a ``ThreadSensitiveContext`` around the connection: the check runs in that one."""
    inner = serve(layer, route("websocket.receive", consumer_of("async", lambda _: count())))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext():
            await inner(scope, receive, send)

    async with WebSocket(application) as socket:
        await socket.accepted()
        for _ in range(2):
            assert await ask(socket) == "20"
            await until(lambda: database.open == 0)


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_queries_are_those_of_the_event(layer: ChannelLayerWrapper, database: Database, kind: str) -> None:
    """With DEBUG, ``connection.queries`` grows with an event, not with the life of the process."""

    def step(_: int) -> int:
        count()
        count()
        return len(connections["file"].queries)

    with override_settings(DEBUG=True):
        async with WebSocket(serve(layer, route("websocket.receive", consumer_of(kind, step)))) as socket:
            await socket.accepted()
            assert [await ask(socket) for _ in range(3)] == ["2"] * 3


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_in_the_test_client(kind: str, database: Database, layer: Any) -> None:
    """TC-13: the connections of the test are left alone."""
    with connections["file"].cursor() as cursor:
        cursor.execute("select 1")
    mine = connections["file"].connection
    with apply_routes(route("test", consumer_of(kind, lambda _: count()))):
        client = Client()
        client.send_and_consume("test", {})
    assert client.receive() == {"text": "20"}
    assert connections["file"].connection is mine
    connections["file"].close()
