"""Several worker processes with one parent."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from routechan.worker.supervisor import Supervisor
from tests.processes import free_port

from .conftest import Start, Work, Worker
from .test_health import get

READY = re.compile(r"Worker process (\d) \(pid (\d+)\) is ready")


def children(worker: Worker) -> list[int]:
    """The process ids of those that became ready, in that order."""
    return [int(found[2]) for found in READY.finditer(worker.output)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_drain(start: Start, work: Work) -> None:
    """SIGTERM to the parent, and to its children as a service manager sends it, ends them when they have drained.

    Each answers for its health on a port of its own.
    """
    port = free_port(2)
    parent = start("--drain", "20", "--health", str(port), processes=2)
    parent.says("is ready", 2)
    assert [get(port + number, "/healthz")[0] for number in range(2)] == [200, 200]
    for to in range(2):
        work.send("slow", to=to, seconds=0.5)
    busy = [work.answer() for _ in range(2)]
    for pid in [parent.process.pid, *children(parent)]:
        os.kill(pid, signal.SIGTERM)
    assert parent.ended() == 0, parent.output
    assert work.answers() == [{"ended": True}] * 2
    assert {answer["pid"] for answer in busy} <= set(children(parent))
    assert not any(map(alive, children(parent)))


def test_a_second_signal(start: Start, work: Work) -> None:
    """It ends them all at once, with status 1, each saying what was left; one that cannot even do that is killed."""
    parent = start("--drain", "60", processes=2)
    parent.says("is ready", 2)
    work.send("slow", seconds=60)
    busy = work.answer()["pid"]
    (held,) = set(children(parent)) - {busy}
    os.kill(held, signal.SIGSTOP)
    parent.tell(signal.SIGINT)
    parent.says("Told to stop")
    parent.tell(signal.SIGINT)
    assert parent.ended() == 1, parent.output
    assert "leaves: 1 on slow" in parent.output
    assert f"(pid {held}) did not end in time and is killed" in parent.output
    assert f"(pid {busy}) did not end in time" not in parent.output
    assert not any(map(alive, children(parent)))


def test_one_that_dies(start: Start, work: Work) -> None:
    """It is started again, drained or killed; when that happens soon, the pause grows; the other one works on."""
    parent = start(processes=2)
    parent.says("is ready", 2)
    ways = ((signal.SIGTERM, 0, "0.5"), (signal.SIGKILL, -9, "1"))
    for restarts, (told, status, pause) in enumerate(ways, start=1):
        number = READY.findall(parent.output)[-1][0]
        os.kill(children(parent)[-1], told)
        parent.says(f"ended with status {status}; another one starts in {pause} s")
        work.send("answer", number=restarts)
        assert work.answer()["number"] == restarts
        parent.says("is ready", 2 + restarts)
        assert READY.findall(parent.output)[-1][0] == number
    parent.tell(signal.SIGTERM)
    assert parent.ended() == 0, parent.output


def test_replacing_one_by_one(start: Start, work: Work, code: Path) -> None:
    """SIGHUP: each is drained and started again, the next one when that one is ready; broken code stops it there."""
    parent = start("--code", str(code), processes=2)
    parent.says("is ready", 2)
    first, second = children(parent)
    work.send("slow", seconds=0.5)
    assert work.answer()["began"]
    code.write_text("broken")
    parent.tell(signal.SIGHUP)
    parent.says("the code is broken")
    assert work.answer() == {"ended": True}
    assert [alive(first), alive(second)].count(True) == 1
    work.send("answer", number=1)
    assert work.answer()["pid"] in (first, second)
    code.write_text("good")
    parent.says("is ready", 4)
    assert not alive(first)
    assert not alive(second)
    events = re.findall(r"Worker process (\d) \(pid \d+\) (is ready|is replaced|ended with status 0)", parent.output)
    assert events[2:] == [
        (number, event) for number in "12" for event in ("is replaced", "ended with status 0", "is ready")
    ]


def test_a_parent_that_is_killed(start: Start, work: Work) -> None:
    """Its children drain and end: nobody is left behind that takes messages, and the ports."""
    parent = start(processes=2)
    parent.says("is ready", 2)
    work.send("slow", seconds=0.3)
    assert work.answer()["began"]
    pids = children(parent)
    parent.process.kill()
    parent.process.wait()
    assert work.answer() == {"ended": True}
    ends = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not any(map(alive, pids))


def test_a_command_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be started is tried again after a growing pause, until a signal ends that."""
    processes = Supervisor([str(tmp_path / "nothing")], 1, drain=1)
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert processes.run() == 0
    timer.join()
    assert [record.args[1] for record in caplog.records if "cannot be started" in record.getMessage()] == [0.5, 1.0]  # type: ignore[index]
