"""Handshakes that no worker answers: the log says what the server was waiting for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from routechan import Message, route
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan.relay.protocol import WORKERS
from tests.waiting import until

from ..asgi.clients import Client, logged
from .helpers import nothing, serving, working

CONNECT = "websocket.connect"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker consumes the disconnect of a socket that the test gives up."""
    monkeypatch.setattr("routechan.asgi.websocket.CANCEL_TIMEOUT", 0.01)


async def refused(client: Client) -> None:
    event = await client.event()
    assert event["type"] == "websocket.close"
    client.task.cancel()
    await asyncio.wait([client.task])


def why(caplog: pytest.LogCaptureFixture) -> str:
    [line] = [line for line in logged(caplog) if "was not accepted" in line]
    return line.partition("was not accepted within 1 s: ")[2]


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        (None, "does one run (manage.py runworker), on the same layer and with the same prefix?"),
        (0, "no worker is running with this layer. Start manage.py runworker, with the same Redis and prefix"),
        (1, "1 worker is running: it is busy, or without these channels. Give runworker more --threads, or start"),
    ],
)
async def test_no_worker(
    default_layer: SyncChannelLayer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    workers: int | None,
    told: str,
) -> None:
    """None has taken the event: the client and the log are told the same, by what is known of workers."""
    monkeypatch.setattr("routechan.relay.inflight.SILENCE", 60.0 if workers is None else 0.1)
    for number in range(workers or 0):
        default_layer.group_add(WORKERS, f"worker{number}")
    async with serving(default_layer, handshake_timeout=1.0) as application, Client(application) as client:
        await refused(client)
    assert why(caplog).startswith(f"no worker has taken it from {CONNECT}; {told}")


async def test_a_full_channel(caplog: pytest.LogCaptureFixture) -> None:
    """The event has not even got into its channel."""
    layer = InMemoryChannelLayer(capacity=1)
    layer.sync.send(CONNECT, {})
    async with serving(layer.sync, handshake_timeout=1.0) as application, Client(application) as client:
        await refused(client)
    assert why(caplog).startswith(f"it waits for room on {CONNECT}, which is full")


@pytest.mark.parametrize("answers", [True, False])
async def test_a_layer_that_is_gone(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """Redis does not answer, or says so."""

    async def post(*args: Any, **kwargs: Any) -> None:
        if answers:
            raise ChannelLayerUnavailable("no Redis at 127.0.0.1:1")
        await asyncio.sleep(60)

    async with serving(default_layer, handshake_timeout=1.0) as application:
        with monkeypatch.context() as patched:
            patched.setattr(default_layer.layer, "post", post)
            async with Client(application) as client:
                await refused(client)
        for task in tuple(application._server.consumers._control_tasks):
            task.cancel()
    told = (
        "the layer cannot be reached: no Redis at 127.0.0.1:1" if answers else "the layer has not taken the event yet"
    )
    assert why(caplog).startswith(told)


async def test_a_worker_that_is_busy(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """One has taken the event: its consumer runs, or waits for a thread there."""
    began, go_on = threading.Event(), threading.Event()

    def hold(message: Message) -> None:
        began.set()
        go_on.wait(20)

    async with (
        working(default_layer, route(CONNECT, hold), threads=1),
        serving(default_layer, handshake_timeout=1.0) as application,
        Client(application) as client,
    ):
        await until(began.is_set)
        await refused(client)
        go_on.set()
    assert why(caplog).startswith("a worker has taken it, and its consumer has not ended")


async def test_a_consumer_that_says_nothing(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """It has ended."""
    async with (
        working(default_layer, route(CONNECT, nothing)),
        serving(default_layer, handshake_timeout=1.0) as application,
        Client(application) as client,
    ):
        await refused(client)
    assert why(caplog).startswith("its consumer has ended without an answer")
