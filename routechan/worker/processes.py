"""Several worker processes with one parent, which keeps them running and hands signals on."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from .link import HURRY, READY, STOP, VARIABLE

logger = logging.getLogger("routechan")

#: Seconds before the first restart of a process that died soon after its start; each further one waits twice as long.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

#: Seconds that a process has to be ready for, so that its death is no sign of a mistake.
STEADY = 10.0

#: Seconds beyond its drain time after which a process is killed, and after which it is when told to end at once.
GRACE = 5.0
HURRY_TIME = 2.0

#: Seconds after which signals are looked at on systems where they do not interrupt a wait.
LOOK_EVERY = 1.0


class _Event(NamedTuple):
    """What happened: a signal, or to a child that it became ready or ended."""

    signal: int | None = None
    child: _Child | None = None
    ended: bool = False


class _Child:
    """A running worker process. Lifetime: that of the process."""

    def __init__(self, number: int, command: Sequence[str], events: SimpleQueue[_Event]) -> None:
        self.number = number
        self.ready_at: float | None = None
        self.outdated = False  # to be replaced
        self.stopping = False
        self.kill_at: float | None = None
        self._events = events
        self._end, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, VARIABLE: f"{number}:{theirs.fileno()}"},
                )
        except BaseException:
            self._end.close()
            raise
        for target in (self._hear, self._wait):
            threading.Thread(target=target, name=f"routechan-worker-{number}", daemon=True).start()

    def __str__(self) -> str:
        return f"Worker process {self.number} (pid {self.process.pid})"

    def say(self, word: bytes, kill_after: float) -> None:
        """Tell it, and have it killed when it is still there after that many seconds."""
        self.stopping = True
        self.kill_at = time.monotonic() + kill_after
        try:
            self._end.sendall(word)
        except OSError:
            logger.debug("%s has ended already", self)

    def steady(self) -> bool:
        return self.ready_at is not None and time.monotonic() - self.ready_at > STEADY

    def close(self) -> None:
        self._end.close()

    def _hear(self) -> None:
        try:
            word = self._end.recv(1)
        except OSError:
            return
        if word == READY:
            self._events.put(_Event(child=self))

    def _wait(self) -> None:
        self.process.wait()
        self._events.put(_Event(child=self, ended=True))


class _Place:
    """One of the processes that there are to be. Lifetime: ``Processes.run``."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: _Child | None = None
        self.start_at: float | None = 0.0
        self.pause = 0.0  # the last one before a start, in seconds

    def longer_pause(self) -> float:
        self.pause = min(max(self.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        return self.pause


class Processes:
    """Runs ``command`` ``count`` times and keeps it running. Lifetime: process. Not on Windows.

    The command has to end in ``routechan.worker.run`` with ``ParentLink.take()`` as ``parent``; ``drain`` is what it
    gives its consumers. A process that ends is started again: at once, or, when it had not been ready for a while,
    after a growing pause. SIGTERM and SIGINT drain and end them all, a second one ends them at once; SIGHUP drains
    and starts them again one by one, each when the one before is ready.
    """

    def __init__(self, command: Sequence[str], count: int, *, drain: float) -> None:
        self._command = list(command)
        self._drain = drain
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._ending = 0  # how often it was told to end
        self._failed = False

    def run(self) -> int:
        """Run until told to end; returns the exit status, 0 where every process drained. Only in the main thread."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._handle) for number in numbers}
        logger.info("Starting %d worker processes", len(self._places))
        try:
            while self._go_on():
                try:
                    self._take(self._events.get(timeout=self._seconds()))
                except Empty:
                    continue
        finally:
            for place in self._places:
                if place.child is not None:  # an error of ours: they drain when they find the link closed
                    place.child.close()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 1 if self._failed else 0

    def _handle(self, number: int, frame: Any) -> None:
        self._events.put(_Event(signal=number))

    def _go_on(self) -> bool:
        """Start, kill and replace what is due; whether anything is left to wait for."""
        now = time.monotonic()
        for place in self._places:
            child = place.child
            if child is not None and child.kill_at is not None and child.kill_at <= now:
                logger.error("%s did not end in time and is killed", child)
                child.kill_at = None
                child.process.kill()
            if child is None and place.start_at is not None and place.start_at <= now and not self._ending:
                self._start(place)
        if not self._ending:
            self._replace_next()
            return True
        return any(place.child for place in self._places)

    def _start(self, place: _Place) -> None:
        try:
            place.child = _Child(place.number, self._command, self._events)
        except OSError as error:  # the machine has no room for it now
            place.start_at = time.monotonic() + place.longer_pause()
            logger.error("Worker process %d cannot be started, and is in %g s: %s", place.number, place.pause, error)
        else:
            place.start_at = None

    def _replace_next(self) -> None:
        """Drain the next outdated process, if all others are ready."""
        children = [place.child for place in self._places]
        if all(child is not None and child.ready_at is not None and not child.stopping for child in children):
            for child in children:
                if child is not None and child.outdated:
                    logger.info("%s is replaced", child)
                    child.say(STOP, self._drain + GRACE)
                    return

    def _seconds(self) -> float:
        """How long nothing is due."""
        due = [place.start_at for place in self._places if place.start_at is not None and not self._ending]
        due += [place.child.kill_at for place in self._places if place.child and place.child.kill_at is not None]
        return max(min([LOOK_EVERY, *(at - time.monotonic() for at in due)]), 0)

    def _take(self, event: _Event) -> None:
        if event.signal is not None:
            self._signalled(event.signal)
        elif event.child is not None and event.ended:
            self._ended(event.child)
        elif event.child is not None:
            event.child.ready_at = time.monotonic()
            logger.info("%s is ready", event.child)

    def _signalled(self, number: int) -> None:
        children = [place.child for place in self._places if place.child is not None]
        if number == signal.SIGHUP:
            logger.info("Told to replace the worker processes one by one")
            for child in children:
                child.outdated = True
            return
        self._ending += 1
        for child in children:
            if self._ending == 1:
                child.say(STOP, self._drain + GRACE)
            elif self._ending == 2:
                child.say(HURRY, HURRY_TIME)
            else:
                child.process.kill()

    def _ended(self, child: _Child) -> None:
        child.close()
        place, status = self._places[child.number - 1], child.process.returncode
        place.child = None
        if self._ending:
            # One that was not ready yet may have had no handler for the signal that reached us all.
            if status and child.ready_at is not None:
                logger.error("%s ended with status %d", child, status)
                self._failed = True
            return
        if child.stopping or child.steady():
            place.pause = 0.0
            place.start_at = time.monotonic()
        else:
            place.start_at = time.monotonic() + place.longer_pause()
        log = logger.info if child.stopping and not status else logger.error
        log("%s ended with status %d; another one starts in %g s", child, status, place.pause)
