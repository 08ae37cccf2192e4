"""A worker process answers how it is."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest

from routechan.worker.health import Health, parse_address
from tests.processes import free_port
from tests.redis_servers import SingleServer

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
    well = {"alive": True, "ready": True, "layer": True, "running": 0, "seconds_since_message": None}
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


def test_a_port_that_is_taken() -> None:
    """It is known before anything runs."""
    port = free_port()
    process: Any = None
    first, second = Health(process, "127.0.0.1", port), Health(process, "127.0.0.1", port)
    with first, pytest.raises(OSError, match="in use"):
        second.listen()


@pytest.mark.parametrize(
    ("text", "address"),
    [("9000", ("", 9000)), ("127.0.0.1:9000", ("127.0.0.1", 9000)), ("[::1]:1", ("::1", 1))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """``--health``: a port, alone or behind a host."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "127.0.0.1", "localhost:", "-1", "٣"])
def test_no_addresses(text: str) -> None:
    """What is no port is refused with what one looks like."""
    with pytest.raises(ValueError, match="a number from 1 to 65535, alone or as in"):
        parse_address(text)
