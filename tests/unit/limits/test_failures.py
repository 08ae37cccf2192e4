"""Sockets whose consumers fail on and on: what is logged, and when they are closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from routechan import Message, route
from routechan.asgi import Application, ServerOptions
from routechan.consumers import failures
from routechan.layers import InMemoryChannelLayer
from routechan.telemetry.counters import counters
from tests.waiting import until

from ..asgi.clients import Open, close, logged
from ..asgi.consumers import accept
from ..helpers import DEADLINE, KINDS, Clock, of_kind
from ..monitor.helpers import inline, relaying
from ..relay.helpers import working


def moody(message: Message) -> Any:
    """Fails at "bad", answers everything else."""
    if message["text"].startswith("bad"):
        raise ValueError(f"it was told {message['text']}")
    yield {"text": message["text"]}


@pytest.fixture(params=["inline", "workers", "classic workers"])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """``await serve(consumer, **ServerOptions)``: an application that runs the consumer here, or in a worker."""
    async with AsyncExitStack() as stack:

        async def start(consumer: Any, **options: Any) -> Application:
            layer, routing = (
                InMemoryChannelLayer(),
                [
                    route("websocket.connect", accept),
                    route("websocket.receive", consumer),
                ],
            )
            if request.param == "inline":
                serving = inline(layer, *routing, **options)
            else:
                classic = request.param == "classic workers"
                await stack.enter_async_context(working(layer.sync, *routing, classic=classic))
                serving = relaying(layer, options=ServerOptions(**options))
            application: Application = await stack.enter_async_context(serving)
            return application

        yield start


@pytest.mark.parametrize("kind", [*KINDS, "decorated async", "decorated stream", "decorated async stream"])
async def test_a_socket_whose_events_all_fail(serve: Any, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """It is closed with 1011 after so many in a row; that is counted and logged, the failures are logged once."""
    limited = counters.limited["socket_failures"]
    async with Open(await serve(of_kind(kind, moody), socket_failures=5)) as client:
        for number in range(5):
            client.send(f"bad {number}")
        assert await client.event() == close(1011)
        client.leave(1011)
    assert counters.limited["socket_failures"] == limited + 1
    first, last = logged(caplog)
    assert first.startswith("Error in consumer tests.unit.")
    assert last.endswith(" is closed with 1011: the consumers of 5 of its events in a row have failed")
    assert "it was told bad 0" in caplog.text


async def test_a_success_begins_the_row_anew(serve: Any) -> None:
    """Errors between events that succeed close nothing, however many there are."""
    async with Open(await serve(of_kind("plain", moody), socket_failures=3)) as client:
        for text in ("bad", "bad", "good", "bad", "bad", "good", "bad", "bad", "last"):
            client.send(text)
        assert [await client.text() for _ in range(3)] == ["good", "good", "last"]
        client.leave()


@pytest.mark.parametrize("serve", ["inline", "workers"], indirect=True)
@pytest.mark.parametrize("kind", ["stream", "async stream"])
async def test_streams_that_fail_late(serve: Any, kind: str) -> None:
    """Those of one socket run side by side, and count where they began, in whichever order they end."""
    gates = {name: threading.Event() for name in "abc"}

    def held(message: Message) -> Iterator[Any]:
        yield {"text": "begins"}
        gates[message["text"]].wait(DEADLINE)
        raise ValueError(message["text"])

    async def aheld(message: Message) -> AsyncIterator[Any]:
        yield {"text": "begins"}
        await asyncio.to_thread(gates[message["text"]].wait, DEADLINE)
        raise ValueError(message["text"])

    async with Open(await serve(held if kind == "stream" else aheld, socket_failures=3)) as client:
        for text in "abc":
            client.send(text)
            assert await client.text() == "begins"
        for text in "cab":
            assert await client.nothing()
            gates[text].set()
        assert await client.event() == close(1011)
        client.leave(1011)


async def test_without_a_limit(serve: Any) -> None:
    """None leaves the socket open."""
    async with Open(await serve(of_kind("async", moody), socket_failures=None)) as client:
        for _ in range(150):
            client.send("bad")
        client.send("good")
        assert await client.text() == "good"
        client.leave()


async def test_identical_failures_are_one_line_per_interval(
    serve: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of another line or class are told apart; the next line has the number of those before it."""
    clock = Clock()
    monkeypatch.setattr("routechan.telemetry.repeats.time", clock)

    async def failing(message: Message) -> None:
        if message["text"] == "good":
            message.reply_channel.send({"text": "good"})
        elif message["text"] == "other":
            raise LookupError
        else:
            raise ValueError(message["text"])

    async with Open(await serve(failing)) as client:
        for text in ("a", "b", "other", "c", "good"):
            client.send(text)
        assert await client.text() == "good"
        assert [record.exc_info is not None for record in caplog.records] == [True, True]
        clock.now += failures.INTERVAL
        client.send("d")
        await until(lambda: len(caplog.records) == 3)
        client.leave()
    assert caplog.messages[2].endswith("failing on websocket.receive (2 more like this since it was last said)")
