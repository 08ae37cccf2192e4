"""The end of a worker process: signals, the drain time, and an exit that nothing can prevent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

from .health import Health
from .process import WorkerProcess
from .supervisor import HURRY, ParentLink

logger = logging.getLogger("routechan")

#: Seconds after the drain time in which what was cancelled has to be gone.
GRACE = 2.0

#: Seconds for the last lines of the log.
LAST_LOG_TIME = 1.0

#: What a signal puts into the queue, beside a parent's ``STOP`` and ``HURRY``.
SIGNAL = b"signal"


def run(process: WorkerProcess, *, health: Health | None = None, parent: ParentLink | None = None) -> None:
    """Run a worker process until SIGTERM or SIGINT.

    Only in the main thread.

    After the signal it takes no more messages, and this returns when its consumers have ended. If some have not within
    the drain time, or at a second signal, it logs what is left and ends the Python process with status 1. The event
    loop is uvloop's where that is installed.

    Args:
        process: what to run.
        health: answers over HTTP meanwhile.
        parent: the link to the supervisor that started this process, which may tell it to stop.
    """
    ending = _Ending(process)
    with _signals(ending, parent), health or contextlib.nullcontext():
        if parent is not None:
            parent.listen(ending.order)
        try:
            gc.freeze()  # what is loaded by now lives as long as the process: the collector need not look at it again
            broken_off = (asyncio if uvloop is None else uvloop).run(process.run())
            if broken_off:
                ending.exit_now(f"{broken_off} consumers did not end within the drain time")
        finally:
            ending.over()


class _Ending:
    """A thread that waits for the order to stop, and for the end. Lifetime: ``run``.

    Neither a consumer that blocks the event loop nor one that hangs on its thread keeps it from ending the process.
    """

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process
        self._orders: SimpleQueue[bytes | None] = SimpleQueue()
        self.order = self._orders.put  # may be called by signal handlers and in any thread
        threading.Thread(target=self._run, name="routechan-ending", daemon=True).start()

    def over(self) -> None:
        """End the thread: the process has ended by itself."""
        self._orders.put(None)

    def _run(self) -> None:
        process = self._process
        signals = 0
        ends: float | None = None
        while True:
            try:
                order = self._orders.get(timeout=None if ends is None else max(ends - time.monotonic(), 0))
            except Empty:
                self.exit_now(f"The drain time of {process.drain:g} s is over")
            if order is None:
                return
            signals += order == SIGNAL
            if order == HURRY or signals > 1:
                self.exit_now("Told to end at once")
            if ends is None:
                ends = time.monotonic() + process.drain + GRACE
                logger.info(
                    "Told to stop: no more messages are taken; %d are being consumed and have %g s to end",
                    process.running,
                    process.drain,
                )
                process.stop()

    def exit_now(self, why: str) -> NoReturn:
        """End the Python process with status 1, whatever still runs in it; ``why`` is logged."""
        logging_thread = threading.Thread(target=self._log_rest, args=(why,), daemon=True)
        logging_thread.start()
        logging_thread.join(LAST_LOG_TIME)
        os._exit(1)

    def _log_rest(self, why: str) -> None:
        left = ", ".join(f"{count} on {channel}" for channel, count in sorted(self._process.running_on().items()))
        logger.error("%s; the process exits with status 1%s", why, f" and leaves: {left}" if left else "")
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


@contextlib.contextmanager
def _signals(ending: _Ending, parent: ParentLink | None) -> Iterator[None]:
    """Handle signals while the process runs.

    Plain handlers run in the main thread between two steps of whatever runs there. Handlers of the event loop would
    wait for a consumer that blocks it, and Windows has none.
    """

    def handle(number: int, frame: Any) -> None:
        ending.order(SIGNAL)

    def leave_to_parent(number: int, frame: Any) -> None:
        """Ignore it: a terminal that is closed signals the children as well as the parent."""

    handlers = {signal.SIGTERM: handle, signal.SIGINT: handle}
    if parent is not None:
        handlers[signal.SIGHUP] = leave_to_parent
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
