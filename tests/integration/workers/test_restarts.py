"""Workers come and go under load: what becomes of each message."""

from __future__ import annotations

import asyncio
import signal

from websockets.asyncio.client import connect

from tests.waiting import stretched

from .fleet import Fleet
from .load import Load

SOCKETS = 60
PAUSE = 0.2


async def test_a_rolling_restart(fleet: Fleet) -> None:
    """Issue 5: restarted one by one by SIGTERM; each message is answered once, in order, no socket is closed.

    Without sessions, by consumers of random duration, on threads and on event loops, in several workers.
    """
    load = Load(fleet.urls("/slow/"), sockets=SOCKETS, pause=PAUSE)
    async with load:
        await asyncio.sleep(0.3)
        for index in range(len(fleet.workers)):
            assert await fleet.restart(index) == 0
    report = load.report
    assert report.broken() == []
    assert report.lost == 0, f"{report}\n{fleet.output}"
    assert report.sent > SOCKETS * 5, report


async def test_killed_workers(fleet: Fleet) -> None:
    """Issue 5: kill -9 loses what was running, answers nothing twice, and keeps the order; sockets go on within 2 s."""
    load = Load(fleet.urls("/slow/"), sockets=SOCKETS, pause=PAUSE)
    kills = 2
    logged = fleet.output
    async with load:
        await asyncio.sleep(0.3)
        for index in range(kills):
            assert await fleet.restart(index, signal.SIGKILL) == -signal.SIGKILL
    report, logged = load.report, fleet.output[len(logged) :]
    assert report.broken() == []
    assert report.lost <= kills * fleet.threads, f"{report}\n{logged}"
    assert report.most_lost_by_a_socket <= kills, report
    assert report.silence < stretched(2.0) + report.percentile(0.9), report
    assert logged.count("is lost with the worker that took it") == report.lost, f"{report}\n{logged}"


async def test_a_held_up_event_loop(fleet: Fleet) -> None:
    """What a worker has fetched while a consumer holds up its event loop is late, not lost: nothing overtakes it."""
    load = Load(fleet.urls("/aecho/"), sockets=SOCKETS, pause=PAUSE)
    logged = fleet.output
    async with load, connect(fleet.urls("/block/")[0]) as socket:
        await asyncio.sleep(0.3)
        await socket.send("go")
        assert await asyncio.wait_for(socket.recv(), 10) == "go"
    assert load.report.broken() == []
    assert load.report.lost == 0, f"{load.report}\n{fleet.output}"
    assert load.report.silence > 1.5, f"nothing was held up: {load.report}"
    assert fleet.output == logged
