"""A worker process answers how it is."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from routechan import route
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer
from routechan.routing import Router
from routechan.worker import WorkerProcess
from routechan.worker import health as health_module
from routechan.worker.health import Health, parse_address
from tests.processes import free_port
from tests.redis_servers import SingleServer
from tests.unit.helpers import DEADLINE
from tests.waiting import until

from .conftest import Start, Work


def get(port: int, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def state(port: int, path: str = "/healthz") -> tuple[int, dict[str, Any]]:
    status, kind, body = get(port, path)
    assert kind == "application/json"
    return status, json.loads(body)


def test_states(start: Start, work: Work) -> None:
    """Well, busy, held up, draining: what is told, and with which status; metrics are those it was given."""
    port = free_port()
    worker = start("--health", str(port))
    well = {"alive": True, "stuck": False, "ready": True, "layer": True, "running": 0, "seconds_since_message": None}
    assert state(port) == (200, well)
    assert get(port, "/metrics") == (200, "text/plain; version=0.0.4", b"figures 1\n")
    assert get(port, "/other")[::2] == (404, b"There are /healthz, /livez and /metrics.\n")

    work.send("slow", seconds=0.5)
    work.answer()
    status, busy = state(port)
    assert (status, busy["running"]) == (200, 1)
    assert 0 <= busy["seconds_since_message"] < 5
    work.answer()

    work.send("blocking", seconds=1.2)
    work.answer()
    worker.wait_until(lambda: state(port)[0] == 503, "the event loop is held up")
    status, held_up = state(port, "/livez")
    assert (status, held_up["alive"], held_up["running"]) == (503, False, 1)
    worker.wait_until(lambda: state(port)[0] == 200, "it goes on")

    work.send("slow", seconds=1)
    work.answer()
    worker.tell(signal.SIGTERM)
    worker.wait_until(lambda: not state(port)[1]["ready"], "it drains")
    assert state(port)[0] == 503
    assert state(port, "/livez")[0] == 200
    assert worker.ended() == 0


def test_a_layer_that_does_not_answer(start: Start, work: Work) -> None:
    """It is told, and comes back by itself; the process is alive all the while."""
    port = free_port()
    with SingleServer() as servers:
        work.config["hosts"] = servers.hosts
        worker = start("--health", str(port))
        assert state(port)[0] == 200
        servers.kill()
        worker.wait_until(lambda: state(port)[0] == 503, "the layer is gone")
        status, found = state(port, "/livez")
        assert (status, found["layer"]) == (200, False)
        servers.start()
        worker.wait_until(lambda: state(port)[0] == 200, "the layer is back")
        worker.stop()


async def test_threads_that_are_stuck() -> None:
    """Alive as long as one thread is free, or was taken a moment ago; stuck when all have been held for the time."""
    go_on = threading.Event()
    layer = InMemoryChannelLayer()

    def hold(message: Any) -> None:
        go_on.wait(DEADLINE)

    process = WorkerProcess(Dispatcher(Router([route("x", hold)])), layer.sync, ["x"], threads=2)
    running = asyncio.create_task(process.run())
    now, later, never = (Health(process, "", 0, stuck_time=seconds) for seconds in (0.0, 1000.0, None))
    states = functools.partial(asyncio.to_thread, lambda: [each.state()["stuck"] for each in (now, later, never)])
    try:
        await layer.send("x", {"n": 1})
        await until(lambda: process.running == 1)
        assert await states() == [False, False, False]
        await layer.send("x", {"n": 2})
        await until(lambda: process.running == 2)
        await until(lambda: now._stuck())
        assert await states() == [True, False, False]
        status, _, body = await asyncio.to_thread(now.answer, "/livez")
        assert (status, json.loads(body)["alive"]) == (503, False)
        assert (await asyncio.to_thread(now.answer, "/healthz"))[0] == 503
        assert (await asyncio.to_thread(later.answer, "/livez"))[0] == 200
        go_on.set()
        await until(lambda: not now._stuck())
        assert (await asyncio.to_thread(now.answer, "/livez"))[0] == 200
    finally:
        go_on.set()
        process.stop()
        await running


def test_a_port_that_is_taken() -> None:
    """It is known before anything runs."""
    port = free_port()
    process: Any = None
    first, second = Health(process, "127.0.0.1", port), Health(process, "127.0.0.1", port)
    with first, pytest.raises(OSError, match="in use"):
        second.listen()


@pytest.fixture
def health() -> Iterator[Health]:
    """Of a process that has not begun; its metrics fail."""

    def fails() -> tuple[bytes, str]:
        raise ValueError("no figures")

    routing = Router([route("x", lambda message: None)])
    process = WorkerProcess(Dispatcher(routing), InMemoryChannelLayer().sync, ["x"])
    with Health(process, "127.0.0.1", free_port(), metrics=fails) as health:
        yield health


def ask(health: Health, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", health.port), 10) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /livez HTTP/1.1", b"200 OK", b'{"alive": true'),
        (b"GET /livez?x=1 HTTP/1.0", b"200 OK", b'{"alive": true'),
        (b"HEAD /livez HTTP/1.1", b"200 OK", b""),
        (b"GET /metrics HTTP/1.1", b"500 Internal Server Error", b"It failed; see the log.\n"),
        (b"POST /livez HTTP/1.1", b"405 Method Not Allowed", b"Use GET or HEAD.\n"),
        (b"GET", b"404 Not Found", b"There are"),
        (b"\xff\x00", b"405 Method Not Allowed", b"Use GET"),
        (b"", b"405 Method Not Allowed", b"Use GET"),
    ],
)
def test_requests(health: Health, request_line: bytes, status: bytes, body: bytes) -> None:
    """What a client may send, and what it gets."""
    head, _, found = ask(health, request_line + b"\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert found.startswith(body) if body else found == b""


def test_slow_and_broken_clients(
    health: Health, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Hundreds that send a byte now and then, leave early or send no end of headers hold no thread, and no other
    client waits for them; they are cut, and nothing is printed."""
    monkeypatch.setattr(health_module, "CLIENT_TIME", 1.0)
    before = threading.active_count()
    with ExitStack() as clients:
        slow = [clients.enter_context(socket.create_connection(("127.0.0.1", health.port), 10)) for _ in range(300)]
        for number, client in enumerate(slow):
            with suppress(OSError):  # it has been cut for one that came later
                client.sendall(b"GET / HTTP/1.1\r\nX: " if number % 2 else b"x" * 20_000)
        assert state(health.port, "/livez")[0] == 200
        assert threading.active_count() - before <= health_module.ANSWERS
        for client in slow:
            with suppress(ConnectionError):
                assert client.recv(100) == b""
    for _ in range(20):  # gone before the answer
        with socket.create_connection(("127.0.0.1", health.port), 10) as client:
            client.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert state(health.port, "/livez")[0] == 200
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("*:9000", ("", 9000)),
        ("0.0.0.0:9000", ("0.0.0.0", 9000)),
        ("[::1]:1", ("::1", 1)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """``--health``: a port behind a host, or alone: then what it tells is for this machine only."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "127.0.0.1", "localhost:", "-1", "٣"])
def test_no_addresses(text: str) -> None:
    """What is no port is refused with what one looks like."""
    with pytest.raises(ValueError, match="a number from 1 to 65535, alone or as in"):
        parse_address(text)
