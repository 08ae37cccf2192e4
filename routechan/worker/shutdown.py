"""Runs a worker process until it is told to end, and sees to it that it ends."""

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
from .link import HURRY, ParentLink
from .process import WorkerProcess

logger = logging.getLogger("routechan")

#: Seconds after the drain time in which what was cancelled has to be gone.
GRACE = 2.0

#: Seconds for the last lines of the log.
LAST_WORDS = 1.0

#: Said by a signal, as ``STOP`` and ``HURRY`` are by a parent.
SIGNAL = b"signal"


def run(process: WorkerProcess, *, health: Health | None = None, parent: ParentLink | None = None) -> None:
    """Run ``process`` until SIGTERM or SIGINT. Only in the main thread.

    It then takes no more messages and returns when what it runs has ended. What has not ended within its drain time
    is broken off; then, and at a second signal, this logs what was left and ends the Python process with status 1.

    The event loop is uvloop's where that is installed.
    """
    ending = _Ending(process)
    with _signals(ending, parent), health or contextlib.nullcontext():
        if parent is not None:
            parent.listen(ending.say)
        try:
            gc.freeze()  # what is loaded by now lives as long as the process: the collector need not look at it again
            broken_off = (asyncio if uvloop is None else uvloop).run(process.run())
            if broken_off:
                ending.exit_now(f"{broken_off} consumers did not end within the drain time")
        finally:
            ending.over()


class _Ending:
    """A thread that waits for the word to stop, and for the end. Lifetime: ``run``.

    Neither a consumer that holds up the event loop nor one that hangs on its thread keeps it from ending the process.
    """

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process
        self._said: SimpleQueue[bytes | None] = SimpleQueue()
        self.say = self._said.put  # may be called by signal handlers and in any thread
        threading.Thread(target=self._watch, name="routechan-ending", daemon=True).start()

    def over(self) -> None:
        """It has ended."""
        self._said.put(None)

    def _watch(self) -> None:
        process = self._process
        signals = 0
        ends: float | None = None
        while True:
            try:
                word = self._said.get(timeout=None if ends is None else max(ends - time.monotonic(), 0))
            except Empty:
                self.exit_now(f"The drain time of {process.drain:g} s is over")
            if word is None:
                return
            signals += word == SIGNAL
            if word == HURRY or signals > 1:
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
        """End the Python process, whatever still runs in it."""
        last_words = threading.Thread(target=self._last_words, args=(why,), daemon=True)
        last_words.start()
        last_words.join(LAST_WORDS)
        os._exit(1)

    def _last_words(self, why: str) -> None:
        left = ", ".join(f"{count} on {channel}" for channel, count in sorted(self._process.running_on().items()))
        logger.error("%s; the process exits with status 1%s", why, f" and leaves: {left}" if left else "")
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


@contextlib.contextmanager
def _signals(ending: _Ending, parent: ParentLink | None) -> Iterator[None]:
    """Have signals say their word.

    Plain handlers, which run in the main thread between two steps of whatever runs there: those of the event loop
    would wait for a consumer that holds it up, and Windows has none.
    """

    def handle(number: int, frame: Any) -> None:
        ending.say(SIGNAL)

    def leave_to_parent(number: int, frame: Any) -> None:
        """A terminal that is closed tells the children as well."""

    handlers = {signal.SIGTERM: handle, signal.SIGINT: handle}
    if parent is not None:
        handlers[signal.SIGHUP] = leave_to_parent
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
