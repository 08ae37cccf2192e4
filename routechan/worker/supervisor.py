"""The supervisor of several processes, workers or servers: it keeps them running and passes signals on."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

logger = logging.getLogger("routechan")

#: Seconds before the first restart of a process that died soon after its start; each further one waits twice as long.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

#: Seconds that a process has to be ready for; one that ends sooner is restarted after a pause.
STEADY = 10.0

#: Seconds after its drain time until a process is killed, and until it is when it has to end at once.
GRACE = 5.0
HURRY_TIME = 2.0

#: Seconds between looks for signals, on systems where a signal does not interrupt a wait.
SIGNAL_INTERVAL = 1.0


#: The environment variable that tells a child its number and its end of the link.
VARIABLE = "ROUTECHAN_WORKER"

# What goes over the link, one byte each: a child is ready; it has to stop; it has to end at once. A link that is closed
# says STOP. Signals would not do: whoever ends a service, or types Ctrl-C, signals the children as well as the parent,
# and a second signal means that there is no time left.
READY = b"r"
STOP = b"s"
HURRY = b"!"


class ParentLink:
    """The child's end of the link to its supervisor. Lifetime: process.

    Args:
        number: counts the children of a supervisor, from 1 on.
        end: the socket.
    """

    def __init__(self, number: int, end: socket.socket) -> None:
        self.number = number
        self._end = end

    @classmethod
    def take(cls) -> ParentLink | None:
        """The link of this process, or None if no supervisor started it.

        Processes that this one starts get none.
        """
        given = os.environ.pop(VARIABLE, None)
        if given is None:
            return None
        number, descriptor = map(int, given.split(":"))
        end = socket.socket(fileno=descriptor)
        end.set_inheritable(False)
        return cls(number, end)

    def ready(self) -> None:
        """Tell the supervisor that messages are taken."""
        with suppress(OSError):  # the supervisor is gone, which ``listen`` finds out
            self._end.sendall(READY)

    def listen(self, order: Callable[[bytes], object]) -> None:
        """Call ``order`` with ``STOP`` or ``HURRY``, on a thread, whenever the supervisor sends one."""

        def receive() -> None:
            received = STOP
            while received:
                try:
                    received = self._end.recv(1)
                except OSError:
                    received = b""
                order(received or STOP)

        threading.Thread(target=receive, name="routechan-parent", daemon=True).start()


class _Event(NamedTuple):
    """A signal came, or a child became ready or ended."""

    signal: int | None = None
    child: _Child | None = None
    ended: bool = False


class _Child:
    """A running process. Lifetime: that of the process."""

    def __init__(
        self, number: int, command: Sequence[str], events: SimpleQueue[_Event], *, kind: str, files: Sequence[int]
    ) -> None:
        self.number = number
        self._kind = kind
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
                    pass_fds=[theirs.fileno(), *files],
                    env={**os.environ, VARIABLE: f"{number}:{theirs.fileno()}"},
                )
        except BaseException:
            self._end.close()
            raise
        for target in (self._receive, self._wait):
            threading.Thread(target=target, name=f"routechan-child-{number}", daemon=True).start()

    def __str__(self) -> str:
        return f"{self._kind.capitalize()} process {self.number} (pid {self.process.pid})"

    def order(self, order: bytes, kill_after: float) -> None:
        """Send ``STOP`` or ``HURRY``; kill the process if it has not ended ``kill_after`` seconds later."""
        self.stopping = True
        self.kill_at = time.monotonic() + kill_after
        try:
            self._end.sendall(order)
        except OSError:
            logger.debug("%s has ended already", self)

    def steady(self) -> bool:
        """Whether it has been ready for ``STEADY`` seconds."""
        return self.ready_at is not None and time.monotonic() - self.ready_at > STEADY

    def close(self) -> None:
        """Close the link."""
        self._end.close()

    def _receive(self) -> None:
        try:
            received = self._end.recv(1)
        except OSError:
            return
        if received == READY:
            self._events.put(_Event(child=self))

    def _wait(self) -> None:
        self.process.wait()
        self._events.put(_Event(child=self, ended=True))


class _Place:
    """One of the processes that are to run, whichever child fills it. Lifetime: ``Supervisor.run``."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: _Child | None = None
        self.start_at: float | None = 0.0
        self.pause = 0.0  # seconds before the last start

    def longer_pause(self) -> float:
        """The pause before the next start, in seconds; twice the last one."""
        self.pause = min(max(self.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        return self.pause


class Supervisor:
    """Runs a command several times and keeps it running. Lifetime: process. Not on Windows.

    A process that ends is started again: at once, or after a growing pause if it had not been ready for long. SIGTERM
    and SIGINT drain and end all processes, and a second one ends them at once. SIGHUP drains and restarts them one by
    one, each when the one before is ready.

    Args:
        command: what to run; it has to say that it is ready, and take orders, through ``ParentLink.take()``.
        count: how many processes.
        drain: seconds that each takes to end, once it has to.
        kind: what each is, for the log: a worker or a server.
        files: descriptors of open files that each gets.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        drain: float,
        kind: str = "worker",
        files: Sequence[int] = (),
    ) -> None:
        self._command = list(command)
        self._kind = kind
        self._files = list(files)
        self._drain = drain
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._ending = 0  # how often it was told to end
        self._failed = False

    def run(self) -> int:
        """Run until a signal.

        Only in the main thread.

        Returns:
            The exit status: 0 if every process drained.
        """
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._handle) for number in numbers}
        logger.info("Starting %d %s processes", len(self._places), self._kind)
        try:
            while self._go_on():
                try:
                    self._take(self._events.get(timeout=self._seconds()))
                except Empty:
                    continue
        finally:
            for place in self._places:
                if place.child is not None:  # an error of ours: they drain when they find their link closed
                    place.child.close()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 1 if self._failed else 0

    def _handle(self, number: int, frame: Any) -> None:
        self._events.put(_Event(signal=number))

    def _go_on(self) -> bool:
        """Start, kill and replace what is due.

        Whether anything is left to wait for.
        """
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
            place.child = _Child(place.number, self._command, self._events, kind=self._kind, files=self._files)
        except OSError as error:  # the machine has no room for it now
            place.start_at = time.monotonic() + place.longer_pause()
            where = f"{self._kind.capitalize()} process {place.number}"
            logger.error("%s cannot be started, and is in %g s: %s", where, place.pause, error)
        else:
            place.start_at = None

    def _replace_next(self) -> None:
        """Drain the next outdated process, if all others are ready."""
        children = [place.child for place in self._places]
        if all(child is not None and child.ready_at is not None and not child.stopping for child in children):
            for child in children:
                if child is not None and child.outdated:
                    logger.info("%s is replaced", child)
                    child.order(STOP, self._drain + GRACE)
                    return

    def _seconds(self) -> float:
        """Seconds until something is due."""
        due = [place.start_at for place in self._places if place.start_at is not None and not self._ending]
        due += [place.child.kill_at for place in self._places if place.child and place.child.kill_at is not None]
        return max(min([SIGNAL_INTERVAL, *(at - time.monotonic() for at in due)]), 0)

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
            logger.info("Told to replace the %s processes one by one", self._kind)
            for child in children:
                child.outdated = True
            return
        self._ending += 1
        for child in children:
            if self._ending == 1:
                child.order(STOP, self._drain + GRACE)
            elif self._ending == 2:
                child.order(HURRY, HURRY_TIME)
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
