"""A thread that names consumers which block: the event loop, or for long a thread."""

from __future__ import annotations

import asyncio
import linecache
import logging
import sys
import threading
import time
from collections.abc import Iterator
from time import perf_counter
from types import CodeType, FrameType

from ..inspection import is_of_project
from ..telemetry.counters import counters
from ..telemetry.repeats import Repeats
from .dispatch import Dispatcher, Invocation
from .steps import aiterate
from .timeouts import give_up

logger = logging.getLogger("routechan")

#: Seconds for which a consumer may hold the event loop.
LOOP_TIME = 0.1

#: Seconds for which a plain consumer may hold a thread; a stream may as long as it likes.
THREAD_TIME = 10.0

#: Seconds between two looks at the loop, and at the threads.
LOOP_LOOK = LOOP_TIME / 2
THREAD_LOOK = 1.0

#: The functions that run consumers on a loop and on a thread; each has a variable ``invocation``.
_ON_LOOP = (Dispatcher._acall.__code__, aiterate.__code__)
_ON_THREAD = (Dispatcher._call.__code__,)


class Watchdog:
    """Looks at what the threads of a process do. Lifetime: that of the ``Runtime``.

    It costs a message nothing: twenty times a second its thread asks the loop for a sign of life, if any consumer is
    running. Only where none has come by the next time does it look at the stack of the loop's thread. A thread that
    makes and leaves frames meanwhile is not to be looked at: CPython 3.11 was seen to crash of that.

    Args:
        loop: the event loop, whose thread makes this.
        dispatcher: runs the consumers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, dispatcher: Dispatcher) -> None:
        self._loop = loop
        self._dispatcher = dispatcher
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._asked_at: float | None = None  # when the loop was asked; None since its last sign of life
        self._suspect: Invocation | None = None  # what it ran when it was looked at last, and has not answered since
        self._repeats = Repeats()
        self._given_up: set[Invocation] = set()  # consumers on threads that have run for longer than they may

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="routechan-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopped.set()

    def _run(self) -> None:
        looked_at = threads_at = time.monotonic()
        while not self._stopped.wait(LOOP_LOOK) and not self._loop.is_closed():
            now = time.monotonic()
            try:
                # After a longer pause the machine was busy, or stopped: nobody is judged for that time.
                self._look_at_loop(now, judge=now - looked_at < 2 * LOOP_LOOK)
                if now - threads_at >= THREAD_LOOK:
                    threads_at = now
                    self._look_at_threads()
            except Exception:  # it only watches: an odd stack is no reason to stop
                logger.debug("The watchdog could not look", exc_info=True)
            looked_at = time.monotonic()

    def _look_at_loop(self, now: float, *, judge: bool) -> None:
        asked_at = self._asked_at  # the loop may answer at any moment
        if asked_at is None:
            self._suspect = None
            if any(figures.running for figures in tuple(counters.consumers.values())):
                self._asked_at = now
                self._loop.call_soon_threadsafe(self._alive)
            return
        if not judge:
            self._asked_at = now
            return
        found = _running(sys._current_frames().get(self._loop_thread), _ON_LOOP)
        if found is None:
            self._suspect = None
            return
        invocation, frames = found
        if invocation is not self._suspect:
            self._suspect = invocation
        elif now - asked_at >= LOOP_TIME:
            self._name(
                frames,
                invocation,
                f"has held the event loop for {now - asked_at:.1f} s, and does so now, at %s:%d in %s: %s; no "
                "other connection of this process is served meanwhile. Await an async function there, or "
                "asyncio.to_thread(...), or write the consumer as a plain function, which has a thread",
            )

    def _alive(self) -> None:
        self._asked_at = None

    def _look_at_threads(self) -> None:
        timeout = THREAD_TIME if self._dispatcher.timeout is None else self._dispatcher.timeout
        held = held_threads(self._dispatcher, min(timeout, THREAD_TIME))
        for invocation, frames, seconds in held:
            if self._dispatcher.timeout is not None and seconds >= timeout:
                self._give_up(frames, invocation, seconds)
            elif seconds >= THREAD_TIME:
                self._name(
                    frames,
                    invocation,
                    f"has held a thread for {seconds:.0f} s, and does so now, at %s:%d in %s: %s; when all threads are "
                    "held, plain consumers wait. Write it as a generator or an async function if it is to last",
                )
        self._given_up.intersection_update(invocation for invocation, *_ in held)

    def _give_up(self, frames: list[FrameType], invocation: Invocation, seconds: float) -> None:
        if invocation in self._given_up:
            return
        self._given_up.add(invocation)
        self._loop.call_soon_threadsafe(give_up, invocation)
        self._name(
            frames,
            invocation,
            f"has run for {seconds:.0f} s, longer than CONSUMER_TIMEOUT, and does so now, at %s:%d in %s: %s; nothing "
            "can stop a thread, so its client is given up, and the thread is held until it ends. Give what it waits "
            "for a timeout, or write it as an async function",
        )

    def _name(self, frames: list[FrameType], invocation: Invocation, text: str) -> None:
        frame = _place(frames)
        file, line = frame.f_code.co_filename, frame.f_lineno
        more = self._repeats.more((file, line, invocation in self._given_up))
        if more is None:
            return
        code = linecache.getline(file, line).strip()
        name = frame.f_code.co_name
        logger.warning(f"%s {text}%s", invocation, file, line, name, code or "?", more, extra=invocation.log_fields())


def held_threads(dispatcher: Dispatcher, seconds: float) -> list[tuple[Invocation, list[FrameType], float]]:
    """The plain consumers that hold a thread; from any thread.

    Args:
        dispatcher: runs the consumers.
        seconds: for how long they have to have done so.

    Returns:
        For each what it is a run of, its frames, innermost first, and its seconds.
    """
    now = perf_counter()
    long = {
        run: now - began
        for figures in tuple(counters.consumers.values())
        for run, began in tuple(figures.running.items())
        if now - began >= seconds and run.dispatcher is dispatcher
    }
    if not long:
        return []
    running = [_running(frame, _ON_THREAD) for frame in sys._current_frames().values()]
    return [(found[0], found[1], long[found[0]]) for found in running if found is not None and found[0] in long]


def _running(frame: FrameType | None, by: tuple[CodeType, ...]) -> tuple[Invocation, list[FrameType]] | None:
    """What a thread with the stack ``frame`` runs by one of these functions: the consumer's frames, innermost first."""
    frames: list[FrameType] = []
    for each in _outwards(frame):
        if each.f_code in by:
            invocation = each.f_locals.get("invocation")
            return (invocation, frames) if isinstance(invocation, Invocation) and frames else None
        frames.append(each)
    return None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frames: list[FrameType]) -> FrameType:
    """The innermost frame in code of the project; where there is none, the outermost that is not ours."""
    others = [frame for frame in frames if not _is_ours(frame)]
    for frame in others:
        file = frame.f_code.co_filename
        if not file.startswith("<") and is_of_project(file):
            return frame
    return (others or frames)[-1]


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in ("routechan", "routechan_django")
