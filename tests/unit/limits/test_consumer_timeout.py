"""How long one run of a consumer may take."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

import routechan
from routechan import Channel, Message, route
from routechan.consumers import watchdog
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer
from routechan.routing import Router
from routechan.telemetry.counters import counters
from tests.waiting import until

from ..asgi.clients import Client, Open, close, logged
from ..asgi.consumers import accept, aecho, echo
from ..helpers import DEADLINE, run_on_loop
from ..monitor.helpers import inline, relaying, working

#: Seconds; what is not to be late has ended long before.
TIMEOUT = 1.0


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "THREAD_LOOK", 0.1)


@pytest.fixture(params=["inline", "workers"])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """``await serve(*routing)``: an application whose consumers may take ``TIMEOUT``."""
    async with AsyncExitStack() as stack:

        async def start(*routing: Any) -> Any:
            layer = InMemoryChannelLayer()
            if request.param == "inline":
                return await stack.enter_async_context(inline(layer, *routing, timeout=TIMEOUT))
            await stack.enter_async_context(working(layer, *routing, timeout=TIMEOUT))
            return await stack.enter_async_context(relaying(layer))

        yield start


class Hanging:
    """Consumers that hang where the client says so. Lifetime: test."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.gone: list[str] = []
        self.go_on = threading.Event()

    async def an_async(self, message: Message) -> None:
        try:
            if message["text"] == "hang":
                await asyncio.sleep(10 * DEADLINE)
            await aecho(message)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    def decorated(self, message: Message) -> Any:
        return self.an_async(message)

    def plain(self, message: Message) -> None:
        if message["text"] == "hang":
            self.go_on.wait(2 * DEADLINE)
            self.ended.append("plain")
        echo(message)

    def disconnect(self, message: Message) -> None:
        self.gone.append(message["reply_channel"])

    def routing(self, consumer: Any) -> list[Any]:
        return [
            route("websocket.connect", accept),
            route("websocket.receive", consumer),
            route("websocket.disconnect", self.disconnect),
        ]


@pytest.mark.parametrize("name", ["an_async", "decorated"])
async def test_an_async_consumer_is_cancelled(serve: Any, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """It is an error of the consumer, counted, and logged with where it waited; the connection goes on."""
    limited, hanging = counters.limited["consumer_timeout"], Hanging()
    async with Open(await serve(*hanging.routing(getattr(hanging, name)))) as client:
        for text in ("before", "hang", "after"):
            client.send(text)
        assert [await client.text() for _ in range(2)] == ["before", "after"]
        client.leave()
    assert hanging.ended == ["cancelled"]
    assert counters.limited["consumer_timeout"] == limited + 1
    [line] = logged(caplog)
    assert line.startswith("Error in consumer ")
    assert "TimeoutError: it ran for more than 1 s (CONSUMER_TIMEOUT) and was cancelled" in caplog.text
    assert "await asyncio.sleep(10 * DEADLINE)" in caplog.text


async def test_the_client_of_a_plain_consumer_is_given_up(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Its socket is closed with 1011, counted and logged with the line; its disconnect comes when it has ended."""
    limited, hanging = counters.limited["consumer_timeout"], Hanging()
    application = await serve(*hanging.routing(hanging.plain))
    async with Client(application) as client, Open(application) as other:
        await client.accepted()
        client.send("hang")
        assert await client.event() == close(1011)
        client.leave(1011)
        other.send("served")
        assert await other.text() == "served"
        assert hanging.gone == []
        hanging.go_on.set()
        await until(lambda: hanging.gone)
        assert hanging.ended == ["plain"]
        other.leave()
    assert counters.limited["consumer_timeout"] == limited + 1
    [line] = logged(caplog)
    assert "Hanging.plain on websocket.receive has run for " in line
    assert "self.go_on.wait(2 * DEADLINE); nothing can stop a thread, so its client is given up" in line


async def test_a_handshake_that_waits_for_a_plain_consumer(serve: Any) -> None:
    """It is refused."""
    go_on = threading.Event()

    def connect(message: Message) -> None:
        go_on.wait(2 * DEADLINE)

    async with Client(await serve(route("websocket.connect", connect), route("websocket.receive", echo))) as client:
        assert await client.event() == close(1000)
        go_on.set()
        client.leave(1006)


async def test_a_generator_may_take_longer(serve: Any) -> None:
    """Streams last as long as their socket, plain ones and async ones."""

    def stream(message: Message) -> Iterator[Any]:
        yield {"text": "begins"}
        threading.Event().wait(1.5 * TIMEOUT)
        yield {"text": "ends"}

    async def astream(message: Message) -> AsyncIterator[Any]:
        yield {"text": "begins"}
        await asyncio.sleep(1.5 * TIMEOUT)
        yield {"text": "ends"}

    limited = counters.limited["consumer_timeout"]
    routing = [
        route("websocket.connect", accept),
        route("websocket.receive", stream, text="plain"),
        route("websocket.receive", astream),
    ]
    async with Open(await serve(*routing)) as client:
        client.send("plain")
        client.send("async")
        assert sorted([await client.text() for _ in range(4)]) == ["begins", "begins", "ends", "ends"]
        client.leave()
    assert counters.limited["consumer_timeout"] == limited


async def test_a_consumer_of_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    """There is nobody to give up: the log says it, and the worker goes on."""
    layer, go_on, seen = InMemoryChannelLayer(), threading.Event(), []

    def work(message: Message) -> None:
        if message["number"] == 0:
            go_on.wait(2 * DEADLINE)
        seen.append(message["number"])

    async with working(layer, route("work", work), timeout=TIMEOUT):
        for number in range(2):
            Channel("work", channel_layer=layer).send({"number": number})
        await until(lambda: any("longer than CONSUMER_TIMEOUT" in line for line in logged(caplog)))
        go_on.set()
        await until(lambda: sorted(seen) == [0, 1])


async def test_one_that_does_not_let_itself_be_cancelled() -> None:
    """What it returns after that counts: it has ended by itself, and its task goes on."""

    async def stubborn(message: Message) -> None:
        try:
            await asyncio.sleep(DEADLINE)
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    limited = counters.limited["consumer_timeout"]
    invocation = await run_on_loop(stubborn, timeout=0.01)
    assert not invocation.failed
    assert counters.limited["consumer_timeout"] == limited + 1
    await asyncio.sleep(0)


async def test_a_task_that_others_cancel() -> None:
    """That is no error of the consumer, and ends the task."""
    begun = asyncio.Event()

    async def waits(message: Message) -> None:
        begun.set()
        await asyncio.sleep(DEADLINE)

    limited = counters.limited["consumer_timeout"]
    task = asyncio.create_task(run_on_loop(waits, timeout=DEADLINE))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert counters.limited["consumer_timeout"] == limited


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("inf")])
def test_what_is_no_timeout(timeout: Any) -> None:
    """It is told where the application is made."""
    with pytest.raises(ValueError, match="the timeout of consumers is a number of seconds above 0, or None, not"):
        Dispatcher(Router([]), timeout=timeout)
    with pytest.raises(ValueError, match="the timeout of consumers"):
        routechan.application([], InMemoryChannelLayer(), consumer_timeout=timeout)
