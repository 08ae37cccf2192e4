"""A relaying server that is told to stop while requests wait for workers."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from routechan import Message, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..asgi.clients import Request, logged
from .helpers import serving, working

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="only the main thread may handle signals"
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tells the process to stop, as its ASGI server hears of it; that one waits for requests."""
    monkeypatch.setattr("routechan.asgi.server.UNTAKEN_TIME", 0.01)
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield lambda: signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


async def test_a_request_that_no_worker_takes(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, told: Any
) -> None:
    """It would keep the server for ``HTTP_TIMEOUT``: its client is told that the server stops."""
    async with serving(default_layer, relay_http=True) as application, Request(application, "/x") as request:
        await until(lambda: default_layer.channel_statistics("http.request")["messages_pending"])
        told()
        assert (await request.event())["status"] == 503
        assert (await request.event())["body"] == b"The server is stopping; try again."
        await request.over()
    [line] = logged(caplog)
    assert line.startswith("'/x' is given up, because the server stops: no worker has taken it from http.request")


async def test_a_request_that_a_worker_has_taken(default_layer: SyncChannelLayer, told: Any) -> None:
    """It is answered; as long as that takes is the affair of the ASGI server."""
    began, go = threading.Event(), threading.Event()

    def slow(message: Message) -> None:
        began.set()
        go.wait()
        message.reply_channel.send({"status": 200, "content": b"done"})

    async with (
        working(default_layer, route("http.request", slow)),
        serving(default_layer, relay_http=True) as application,
        Request(application) as request,
    ):
        await until(began.is_set)
        await until(lambda: application._server.consumers._destinations["http.request"].taken)  # by a heartbeat
        told()
        assert await request.nothing()
        go.set()
        assert (await request.event())["status"] == 200
        await request.event()
        await request.over()
