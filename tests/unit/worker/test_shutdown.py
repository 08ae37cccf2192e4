"""A worker process is told to end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from routechan.consumers.dispatch import Dispatcher
from routechan.layers import InMemoryChannelLayer
from routechan.routing import Router
from routechan.worker import WorkerProcess

from .conftest import Start, Work


def test_nothing_is_lost(start: Start, work: Work) -> None:
    """WK-06 mended: workers end while messages come; each message is run once, those that were just taken included."""
    with ThreadPoolExecutor() as together:
        workers = list(together.map(lambda _: start(), range(5)))
    sent = 0
    for worker in workers[1:]:
        ends = time.monotonic() + 0.1
        told = False
        while worker.process.poll() is None:
            work.send("answer", to=sent % 4, number=sent)
            sent += 1
            if not told and time.monotonic() > ends:
                worker.tell(signal.SIGTERM)
                told = True
        assert worker.ended() == 0, worker.output
    ran = Counter(work.answer()["number"] for _ in range(sent))
    assert (len(ran), set(ran.values())) == (sent, {1})
    assert work.answers() == []


def test_while_idle(start: Start) -> None:
    """A signal ends a worker that has nothing to do, with status 0, and ``run`` returns."""
    worker = start()
    worker.tell(signal.SIGTERM)
    assert worker.ended() == 0, worker.output
    assert "0 are being consumed" in worker.output
    assert "returned" in worker.output


def test_while_busy(start: Start, work: Work) -> None:
    """What runs is finished and what it sent is delivered; what is sent meanwhile is left to others."""
    worker = start()
    for to, channel in enumerate(("slow", "aslow")):
        work.send(channel, to=to, seconds=1)
        assert work.answer()["began"]
    worker.tell(signal.SIGTERM)
    worker.says("2 are being consumed")
    work.send("answer", number=1)
    assert worker.ended() == 0, worker.output
    assert [work.answer(), work.answer()] == [{"ended": True}] * 2
    other = start()
    assert work.answer()["pid"] == other.process.pid


def test_a_second_signal(start: Start, work: Work) -> None:
    """It ends at once, with status 1, saying what was left; a consumer that holds up everything included."""
    worker = start("--drain", "60")
    for to, channel in enumerate(("slow", "blocking")):
        work.send(channel, to=to, seconds=60)
        assert work.answer()["began"]
    worker.tell(signal.SIGTERM)
    worker.says("Told to stop")
    worker.tell(signal.SIGTERM)
    assert worker.ended() == 1, worker.output
    assert "Told to end at once; the process exits with status 1 and leaves: 1 on blocking, 1 on slow" in worker.output


@pytest.mark.parametrize("channels", [["slow", "aslow", "lasting_thread"], ["blocking"]])
def test_the_drain_time(start: Start, work: Work, channels: list[str]) -> None:
    """What does not end in it is broken off, with status 1, saying what was left; whatever holds it up."""
    worker = start("--drain", "0.2")
    for to, channel in enumerate(channels):
        work.send(channel, to=to, seconds=60)
        assert work.answer()["began"]
    worker.tell(signal.SIGTERM)
    assert worker.ended() == 1, worker.output
    assert "the process exits with status 1" in worker.output
    assert all(channel in worker.output.split("Told to stop")[1] for channel in channels)


async def test_told_before_it_runs() -> None:
    """A worker that is told to stop before it began takes nothing."""
    process = WorkerProcess(Dispatcher(Router([])), InMemoryChannelLayer().sync, ["x"])
    process.stop()
    assert await asyncio.wait_for(process.run(), 5) == 0
    assert not process.taking
