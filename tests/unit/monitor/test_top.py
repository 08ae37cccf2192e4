"""The reports of processes, and the table in the terminal."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from rich.console import Console
from websockets.asyncio.client import connect

from routechan import route
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, RedisChannelLayer
from routechan.monitor import top
from routechan.monitor.reports import GROUP, Question, Responder
from routechan.monitor.snapshots import Snapshot, channel_rows, consumer_rows, percentile, process_rows
from routechan.telemetry.counters import BOUNDS
from tests.waiting import until

from ...integration.workers.fleet import Fleet
from ...redis_servers import SingleServer, shared
from ..asgi.clients import Open, logged
from ..asgi.consumers import echo
from .helpers import inline

# Rows made of two snapshots


def buckets(**counts: int) -> list[int]:
    """Counts by the number of the bucket: ``b3=5``."""
    return [counts.get(f"b{number}", 0) for number in range(len(BOUNDS) + 1)]


def report(member: str, **values: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(("sockets", "in", "out", "running", "waiting", "failed", "lost"), 0),
        "member": member,
        "kind": "worker",
        "process": member,
        "host": "here",
        "pid": 7,
        "up": 60.0,
        "channels": [],
        "consumers": {},
        **values,
    }


def consumer(seconds: float, counts: list[int], **values: Any) -> dict[str, Any]:
    return {"buckets": counts, "seconds": seconds, "failures": 0, "running": 0, "longest": 0.0, **values}


def test_percentiles() -> None:
    """Between the bounds of the bucket, as near as it tells; the last bucket has no upper one."""
    assert percentile(buckets(), 0.95) is None
    assert percentile(buckets(b0=100), 0.95) == pytest.approx(BOUNDS[0] * 0.95)
    assert percentile(buckets(b0=50, b3=50), 0.95) == pytest.approx(BOUNDS[2] + (BOUNDS[3] - BOUNDS[2]) * 0.9)
    assert percentile(buckets(b15=10), 0.95) == BOUNDS[-1]


def test_rates() -> None:
    """Rates are per second between two snapshots; a process that is new has none yet."""
    before = Snapshot(10, [report("a", **{"in": 100, "out": 50})], [], {"work": _statistics(40)})
    after = Snapshot(
        12,
        [report("a", **{"in": 300, "out": 60}), report("b", **{"in": 999, "kind": "server"})],
        [],
        {"work": _statistics(100, messages_pending=3, messages_max_age=1.5), "other": _statistics(5)},
    )
    assert [(row.kind, row.process, row.received, row.sent) for row in process_rows(before, after)] == [
        ("server", "b", 0.0, 0.0),
        ("worker", "a", 100.0, 5.0),
    ]
    assert [row[:4] for row in channel_rows(before, after)] == [("work", 3, 1.5, 30.0), ("other", 0, 0.0, 0.0)]


def _statistics(count: int, **values: float) -> dict[str, Any]:
    return {
        "messages_count": count,
        "messages_pending": 0,
        "messages_max_age": 0.0,
        "dropped_count": 0,
        "channel_full_count": 0,
        "expired_count": 0,
        **values,
    }


def test_consumers_of_all_processes_are_taken_together() -> None:
    """Those that took most time meanwhile come first; figures since the start are shown where no run has ended."""
    first = {"busy": consumer(1.0, buckets(b1=10)), "idle": consumer(50.0, buckets(b2=1))}
    before = Snapshot(0, [report("a", consumers=first), report("b", consumers=first)], [], {})
    second = {"busy": consumer(2.0, buckets(b1=10, b5=10)), "idle": consumer(50.0, buckets(b2=1), running=1)}
    after = Snapshot(2, [report("a", consumers=second), report("b", consumers=second)], [], {})
    busy, idle = consumer_rows(before, after)
    assert (busy.name, busy.calls, busy.busy, busy.mean) == ("busy", 10.0, 1.0, 0.1)
    assert busy.p95 == pytest.approx(BOUNDS[4] + (BOUNDS[5] - BOUNDS[4]) * 0.95)
    assert (idle.name, idle.calls, idle.busy, idle.mean, idle.running) == ("idle", 0.0, 0.0, 50.0, 2)


def test_a_process_that_has_gone_takes_its_counts_along() -> None:
    """No rate is below 0."""
    one = {"some": consumer(1.0, buckets(b1=10))}
    before = Snapshot(0, [report("a", consumers=one), report("b", consumers=one)], [], {})
    [row] = consumer_rows(before, Snapshot(2, [report("a", consumers=one)], [], {}))
    assert (row.calls, row.busy) == (0.0, 0.0)


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_fits(width: int) -> None:
    """In a terminal of 80 columns too, numbers are whole and only names are cut."""
    reports = [report("BwzOBSQRib", host="web-1.example.org", pid=12345, sockets=1234, waiting=12, failed=3)]
    reports[0]["consumers"] = {"project.some.rather.long.consumers.name": consumer(1.5, buckets(b4=100), failures=2)}
    after = Snapshot(2, reports, ["KaypAkOGNL"], {"websocket.receive": _statistics(12345)})
    console = Console(file=io.StringIO(), width=width, force_terminal=True, record=True)
    console.print(top.page(Snapshot(0, [], [], {}), after, "default"))
    page = console.export_text()
    assert all(len(line) <= width for line in page.splitlines())
    for expected in ("12345", "1,234", "15 ms", "No answer within 1 s from: KaypAkOGNL"):
        assert expected in page


# Asking


@pytest.fixture
def redis(pytestconfig: pytest.Config) -> SingleServer:
    return shared(pytestconfig, SingleServer)


@pytest.fixture
def layers(redis: SingleServer) -> Iterator[Any]:
    """Makes layers as of several processes."""
    made: list[RedisChannelLayer] = []

    def make(**options: Any) -> RedisChannelLayer:
        layer = RedisChannelLayer(**{"hosts": redis.hosts, "prefix": "responder", "lease": 2.0, **options})
        made.append(layer)
        return layer

    yield make
    for layer in made:
        layer.close()


@asynccontextmanager
async def present(layer: BaseChannelLayer) -> AsyncIterator[Responder]:
    responder = Responder(layer, "server")
    responder.start()
    try:
        yield responder
    finally:
        await responder.stop()


async def _members(layer: BaseChannelLayer, count: int) -> None:
    """Wait until so many processes are in the group."""
    deadline = time.monotonic() + 10
    found: list[str] | None = None
    while found is None or len(found) != count:
        assert time.monotonic() < deadline, f"there are not {count} processes"
        await asyncio.sleep(0.02)
        with suppress(ChannelLayerUnavailable):  # one that was down may not answer yet
            found = await layer.group_channels(GROUP)


async def test_a_process_answers_and_leaves(layers: Any, redis: SingleServer) -> None:
    """A question gets a report of plain values from each process; one that stops is in no group any more."""
    redis.flushall()
    asking, other = layers(), layers()
    async with present(other), Question(asking) as question:
        await _members(asking, 1)
        [found], silent = await question.ask(5.0)
        assert (found["kind"], found["pid"], found["process"], silent) == ("server", os.getpid(), other.process, [])
        assert (await question.ask(5.0))[0][0]["member"] == found["member"]
    assert await asking.group_channels(GROUP) == []


async def test_one_that_gives_no_answer_is_named(layers: Any) -> None:
    """Its event loop may be blocked: it is listed all the same."""
    asking, other = layers(), layers()
    queue = f"specific.abcdef.{other.process}!"
    other.attach(queue, lambda channels, content: None)
    await other.group_add(GROUP, f"{queue}report")
    async with Question(asking) as question:
        assert await question.ask(0.05) == ([], [other.process])
    await other.detach(queue)


async def test_a_flushed_layer_is_joined_again(layers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush ends all memberships; the process comes back by itself."""
    monkeypatch.setattr("routechan.monitor.reports.JOIN_INTERVAL", 0.05)
    asking, other = layers(), layers()
    async with present(other):
        await _members(asking, 1)
        await asking.flush()
        await _members(asking, 1)


async def test_a_layer_that_is_down_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Starting returns at once, and the process is there when the layer is."""
    caplog.set_level(logging.DEBUG, "routechan")
    monkeypatch.setattr("routechan.monitor.reports.JOIN_INTERVAL", 0.05)
    with SingleServer() as redis:
        layer = RedisChannelLayer(hosts=redis.hosts, lease=2.0, send_timeout=0.3)
        redis.kill()
        async with present(layer):
            assert "is not in the group" not in caplog.text
            await until(lambda: "is not in the group" in caplog.text)
            await asyncio.to_thread(redis.start)
            await _members(layer, 1)
        layer.close()


class JoinsAtTheSecondTry(InMemoryChannelLayer):
    """Poses as a layer of several processes; the first join meets a bug. Lifetime: test."""

    crosses_processes = True
    joins = 0

    async def group_add(self, group: str, channel: str) -> None:
        self.joins += 1
        if self.joins == 1:
            raise ZeroDivisionError
        await super().group_add(group, channel)


async def test_an_error_ends_no_responder(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A failed join is logged and tried again; a question that cannot be answered is passed over."""
    monkeypatch.setattr("routechan.monitor.reports.JOIN_INTERVAL", 0.01)
    layer = JoinsAtTheSecondTry()
    async with present(layer), Question(layer) as question:
        await _members(layer, 1)
        for answer_to in ("bad name", 5):
            await layer.group_send(GROUP, {"answer_to": answer_to})
        [found], silent = await question.ask(5.0)
    assert (found["process"], silent) == (layer.process, [])
    assert logged(caplog) == [f"Joining the group {GROUP} failed; trying again in 0.01 s"]


async def test_a_layer_of_one_process_is_left_alone() -> None:
    """No other process could ask there."""
    layer = InMemoryChannelLayer()
    async with inline(layer, route("websocket.receive", echo)) as application, Open(application):
        assert await layer.group_channels(GROUP) == []


# The command


async def test_top_once(redis: SingleServer) -> None:
    """A page of a real server and a real worker, as text; one that was killed is gone when its lease is."""

    def page() -> list[list[str]]:
        words = "-m django routechan top --once --interval 0.2 --settings tests.unit.monitor.settings"
        text = fleet.run(*words.split(), LAYER_OPTIONS='{"lease": 2.0}')
        return [line.split() for line in text.splitlines()]

    with Fleet(redis.url, servers=1, workers=1, environment={"EVENT_TIMEOUT": "1"}) as fleet:
        async with connect(fleet.urls("/")[0]) as socket:
            for number in range(20):
                await socket.send(str(number))
                await socket.recv()
            lines = await asyncio.to_thread(page)
            [server] = [line for line in lines if line[:1] == ["server"]]
            [worker] = [line for line in lines if line[:1] == ["worker"]]
            assert server[2] == str(fleet.servers[0].process.pid)
            assert worker[2] == str(fleet.workers[0].process.pid)
            assert server[6] == "1", "it has one socket"
            assert any(line[:1] == ["tests.integration.workers.consumers.echo"] for line in lines)
            assert any(line[:1] == ["websocket.receive"] for line in lines)
            fleet.workers[0].signal(signal.SIGKILL)
            fleet.workers[0].ended()
            layer = RedisChannelLayer(hosts=redis.hosts, prefix=fleet.environment["REDIS_PREFIX"], lease=2.0)
            await _members(layer, 1)
            layer.close()


async def test_the_live_view(layers: Any) -> None:
    """It goes on until it is cancelled, and shows what is new; to a file, page after page."""
    asking, other = layers(), layers()
    output = io.StringIO()
    watching = asyncio.create_task(top.live(asking, "default", 0.1, top.console(output)))
    await until(lambda: "No server and no worker" in output.getvalue())
    async with present(other):
        await until(lambda: other.process in output.getvalue())
    watching.cancel()
    await asyncio.wait([watching])
    assert "\x1b" not in output.getvalue()
