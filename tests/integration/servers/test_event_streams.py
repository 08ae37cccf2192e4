"""Event streams on real ASGI servers, over sockets of their own, and in two processes that share a Redis."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.processes import ServerProcess
from tests.redis_servers import SingleServer, shared

from .eventsource import EventSource
from .starting import serving


def test_events_and_posts(server: ServerProcess) -> None:
    """Events arrive while the response is open; what is posted is consumed in order; a close ends the response."""
    with EventSource(server.port, "/echo/") as page:
        for number in range(20):
            assert page.post(f"{number}\nTür".encode()) == 204
            assert page.hears() == ("message", f"{number}\nTür")
        assert page.post(b"\0\xff", "application/octet-stream") == 204
        assert page.hears() == ("bytes", "AP8=")
    with EventSource(server.port, "/close/") as page:
        assert page.post(b"4001") == 204
        assert page.hears() == ("close", "4001")
        assert page.response.read() == b""
        assert page.post(b"late") == 410


def test_a_page_that_leaves(server: ServerProcess) -> None:
    """The disconnect consumer runs with 1006."""
    with EventSource(server.port, "/watch/") as watcher:
        with EventSource(server.port, "/watched/"):
            pass
        assert watcher.hears() == ("message", json.dumps({"code": 1006, "order": 1}))


def test_a_refusal(server: ServerProcess) -> None:
    """A consumer that denies, and one that says nothing, are a 403 to the page."""
    for path in ("/deny/", "/ignore/"):
        with EventSource(server.port, path) as page:
            assert page.response.status == 403


def test_a_stop(server: ServerProcess) -> None:
    """SIGTERM ends open streams at once: no server waits for them until it is killed."""
    with serving(server.kind, "app") as own, EventSource(own.port, "/echo/") as page:
        own.process.terminate()
        assert page.hears() == ("close", "1012")
        own.process.wait(30)


def test_two_processes(pytestconfig: pytest.Config) -> None:
    """A post that a proxy hands to another process reaches the stream."""
    environment = {"REDIS": shared(pytestconfig, SingleServer).url, "REDIS_PREFIX": secrets.token_hex(6)}
    with (
        serving("uvicorn", "redis_app", environment=environment) as first,
        serving("uvicorn", "redis_app", environment=environment) as second,
        EventSource(first.port, "/") as page,
        EventSource(second.port, "/") as other,
    ):
        for number in range(5):
            assert page.post(str(number).encode(), port=second.port) == 204
            assert [each.hears() for each in (page, other)] == [("message", str(number))] * 2
        first.stop()
        assert other.hears()[1].startswith("left with")
        assert page.post(b"late", port=second.port) == 410


def test_a_page_comes_back(server: ServerProcess) -> None:
    """``Last-Event-ID`` brings what was missed, and news of what came of it."""
    path = f"/kept/{secrets.token_hex(4)}/"
    with EventSource(server.port, path) as page:
        assert [page.hears() for _ in range(2)] == [("message", "[null, null]"), ("joined", "joined")]
        page.post(b"one")
        assert [page.hears()[1] for _ in range(2)] == ["a: one", "b: one"]
    with EventSource(server.port, path) as other:
        other.hears()
        other.post(b"two")
        assert {other.hears()[1] for _ in range(3)} == {"joined", "a: two", "b: two"}
    with EventSource(server.port, path, page.id) as back:
        heard = [back.hears() for _ in range(4)]
        assert heard[-1] == ("recovered", "recovered")
        assert sorted(data for _, data in heard[:-1]) == ["[true, true]", "a: two", "b: two"]
        for number in range(6):
            back.post(str(number).encode())
            assert [back.hears()[1] for _ in range(2)] == [f"a: {number}", f"b: {number}"]
    with EventSource(server.port, path, page.id) as late:
        assert [late.hears()[0] for _ in range(2)] == ["gap", "gap"]
