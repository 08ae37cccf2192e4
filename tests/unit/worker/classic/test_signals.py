"""Signals to a worker of 1.x, and to a group of them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import routechan
from routechan.worker import Worker, WorkerGroup

from ...helpers import DEADLINE
from .running import Rounds, layer_with, work


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("make", [Worker, partial(WorkerGroup, n_threads=3)], ids=["worker", "group"])
def test_handler(make: Callable[[Any], Worker], busy: bool, caplog: pytest.LogCaptureFixture) -> None:
    """WK-06, WK-36: all workers are told; the running consumer finishes, an idle worker ends with status 0 at once."""
    caplog.set_level(logging.INFO, "routechan")
    worker = make(None)
    worker.in_job = busy
    with nullcontext() if busy else pytest.raises(SystemExit, match="^0$"):
        worker.sigterm_handler(signal.SIGTERM, None)
    assert ("waiting for the running consumer" if busy else "ending at once") in caplog.text
    workers = [worker, *worker.sub_workers] if isinstance(worker, WorkerGroup) else [worker]
    assert all(each.termed for each in workers)


@pytest.fixture
def handlers() -> Iterator[None]:
    """The signal handlers of the test run, afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_handlers_are_installed_on_request(handlers: None) -> None:
    """WK-04, WK-05: for SIGTERM and SIGINT, unless ``signal_handlers`` is False; only in the main thread."""
    before = signal.getsignal(signal.SIGTERM)
    work(layer_with([]), 0)
    assert signal.getsignal(signal.SIGTERM) is before
    worker = Rounds(layer_with([]))
    worker.termed = 0
    worker.run()
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == worker.sigterm_handler
    errors: list[BaseException] = []

    def run() -> None:
        try:
            Worker(None).install_signal_handler()
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def run_process(script: str) -> subprocess.Popen[str]:
    root = Path(routechan.__file__).parent.parent
    return subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(script)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


SCRIPT = """
    import logging, sys, time
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    from routechan import route
    from routechan.layers import InMemoryChannelLayer
    from routechan.routing import Router
    from routechan.worker import Worker, WorkerGroup

    def consumer(message):
        print("begun", flush=True)
        time.sleep(0.3)
        print("done", flush=True)

    layer = InMemoryChannelLayer().sync
    layer.router = Router([route("a", consumer)])
    if BUSY:
        layer.send("a", {})
    else:

        def receive_delivery(channels, block):
            print("begun", flush=True)
            time.sleep(60)

        layer.receive_delivery = receive_delivery
    MAKE.run()
    print("returned", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("make", ["Worker(layer)", "WorkerGroup(layer, n_threads=1)"])
@pytest.mark.parametrize("busy", [True, False])
def test_signal_to_a_process(number: int, make: str, busy: bool) -> None:
    """WK-06, WK-36, OB-07: a running consumer finishes and ``run`` returns; a blocking receive is left at once."""
    process = run_process(SCRIPT.replace("MAKE", make).replace("BUSY", str(busy)))
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        for line in lines:
            if line == "begun\n":
                break
        process.send_signal(number)
        rest = list(lines)
        assert process.wait(DEADLINE) == 0, rest
    finally:
        process.kill()
        process.communicate()
    assert ("done\n" in rest, "returned\n" in rest) == (busy, busy)
