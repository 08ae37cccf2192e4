"""One connection to one Redis server."""

from __future__ import annotations

import functools
import logging
import math
import random
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis import exceptions

logger = logging.getLogger("routechan")

#: Errors that end a connection.
FAULTS = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)

#: Replies of a server that did not execute the command, because another server must be asked, or the same one later.
NOT_HERE = (
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    exceptions.MovedError,
    exceptions.AskError,
)

#: The Redis version that added LMPOP and BLMPOP, which are used where a server has them.
NEWER = (7, 0)

#: Errors of a connection that is open, and on which nothing came or left in time.
TIMEOUTS = (exceptions.TimeoutError, TimeoutError)

#: Seconds after which a reply is late. From then on another thread waits for it.
LATE = 0.1


class Connection:
    """Sends commands, and reads their replies in order. Lifetime: until the first fault.

    After a fault, ``close`` it and open another. Not thread-safe.

    Args:
        pool: a pool of redis-py; only its way to make connections is used.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._connection: Any = pool.make_connection()
        self._unwritten: memoryview | None = None
        self.newer = False  # whether the server is a Redis 7 or later
        self.time = 0.0  # the server's clock when the connection was opened
        # Between which moments that was, on the clock of ``time.monotonic``.
        self.asked_at = self.told_at = 0.0

    def open(self) -> None:
        """Connect, and learn the server's version and time.

        Raises:
            ConnectionError: or another of ``FAULTS``: the server cannot be reached, or refused.
        """
        try:
            self._connection.connect()
            # PING last: a server that is still loading its data refuses it, and is not reached yet.
            self.asked_at = time.monotonic()
            self.write([("TIME",), ("INFO", "server"), ("PING",)])
            seconds = self.read()
            self.told_at = time.monotonic()
            information, _ = self.read(), self.read()
        except exceptions.RedisError as error:
            self.close()
            if isinstance(error, FAULTS):
                raise
            raise exceptions.ConnectionError(str(error)) from error
        except BaseException:
            self.close()
            raise
        if isinstance(seconds, Exception):
            self.close()
            raise exceptions.ConnectionError(str(seconds)) from seconds
        self.time = time_of(seconds)
        # A server that does not say its version gets only commands of Redis 6.2.
        self.newer = isinstance(information, bytes) and _version(information) >= NEWER

    def set_timeout(self, seconds: float) -> None:
        """Let reads and writes that make no progress end after ``seconds``."""
        self._connection._sock.settimeout(seconds)

    def write(self, commands: Sequence[tuple[Any, ...]]) -> bool:
        """Send ``commands``, each a tuple of its parts; raises one of ``FAULTS``.

        Returns:
            Whether all has left. If not, the server takes no more at the moment; ``finish`` sends the rest.
        """
        return self._send(memoryview(pack_commands(commands)))

    def _send(self, data: memoryview) -> bool:
        sock = self._connection._sock
        if sock is None:
            raise exceptions.ConnectionError("the connection was closed")
        try:
            sent = sock.send(data)
            while sent < len(data):
                data = data[sent:]
                sent = sock.send(data)
        except TimeoutError:
            self._unwritten = data
            return False
        except OSError as error:
            raise exceptions.ConnectionError(f"Error while writing to socket: {error}") from error
        return True

    def read(self) -> Any:
        """The next reply; an error that the server replied is returned, a fault is raised."""
        try:
            return self._connection.read_response()
        except exceptions.ResponseError as error:
            return error

    def read_many(self, count: int) -> tuple[list[Any], bool, Exception | None]:
        """The next ``count`` replies, as ``read`` gives them.

        Returns:
            The replies, or those before a fault; whether none of them is an error; and the fault, if there was one.
        """
        read = self._connection.read_response
        replies: list[Any] = []
        good = True
        for _ in range(count):
            try:
                replies.append(read(disconnect_on_error=False))
            except exceptions.ResponseError as error:
                replies.append(error)
                good = False
            except FAULTS as fault:
                return replies, False, fault
        return replies, good, None

    def finish(self, count: int, seconds: float) -> tuple[list[Any], bool, Exception | None]:
        """Send what ``write`` could not, and read the replies.

        Args:
            count: how many replies are to come.
            seconds: how long to wait for each; then the fault is one of ``TIMEOUTS``, and this may be called again.

        Returns:
            What ``read_many`` returns.
        """
        self.set_timeout(seconds)
        unwritten, self._unwritten = self._unwritten, None
        try:
            if unwritten is not None and not self._send(unwritten):
                return [], False, exceptions.TimeoutError("Timeout writing to socket")
        except FAULTS as fault:
            return [], False, fault
        return self.read_many(count)

    def close(self) -> None:
        """Disconnect; a connection that is broken already is no error."""
        try:
            self._connection.disconnect()
        except FAULTS:  # it is broken already
            logger.debug("Closing a broken connection to Redis", exc_info=True)


def time_of(reply: Sequence[Any]) -> float:
    """The seconds in a ``reply`` to TIME."""
    return int(reply[0]) + int(reply[1]) / 1e6


def is_ask(error: Exception) -> bool:
    """Whether ``error`` names another server to ask, this once.

    A slot that has moved for good is excluded: redis-py's ``MovedError`` is a subclass of its ``AskError``.
    """
    return isinstance(error, exceptions.AskError) and not isinstance(error, exceptions.MovedError)


def pack_commands(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """The ``commands`` in RESP: redis-py's own way costs a sixth of all the time of a busy driver."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for argument in command:
            kind = type(argument)
            if kind is bytes:
                parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
            elif kind is str:
                parts.append(_packed_text(argument))
            else:
                parts.append(_packed_text(repr(argument)))
    return b"".join(parts)


# Names of commands, keys and numbers repeat.
@functools.lru_cache(maxsize=4096)
def _packed_text(text: str) -> bytes:
    argument = text.encode()
    return b"$%d\r\n%b\r\n" % (len(argument), argument)


def _version(information: bytes) -> tuple[int, ...]:
    for line in information.decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == "redis_version":
            return tuple(int(part) for part in value.split(".")[:2] if part.isdigit())
    return ()


#: How far two clocks may drift apart, in seconds a second: one that is being adjusted runs up to 0.05 % off.
DRIFT = 1e-3


class RedisClock:
    """Seconds of the server's clock, in a process whose own may differ. Lifetime: layer.

    Every stamp and every expiry is a time of this clock (R3), so that processes on several machines agree. What a
    server told is true of some moment between the question and the answer; so the clock has an earliest and a latest
    possible time.
    """

    def __init__(self) -> None:
        # What to add to ``time.monotonic()``: at least, and at most. Until a server has told, this machine's own clock.
        self._offset = self._latest = time.time() - time.monotonic()
        self._learned_at: float | None = None
        self._latest_told = -math.inf

    def now(self) -> float:
        """The earliest time in seconds that the server's clock may show now."""
        return time.monotonic() + self._offset

    def latest(self) -> float:
        """The latest time in seconds that the server's clock may show now.

        It does not go back when the clock is known better: what is sent later must not be due earlier.
        """
        self._latest_told = latest = max(self._latest_told, self.now() + (self._latest - self._offset))
        return latest

    def learn(self, redis_time: float, asked: float, told: float) -> None:
        """Set the clock to what a server told.

        Args:
            redis_time: the server's time, in seconds.
            asked: when it was asked, on the clock of ``time.monotonic``.
            told: when its answer was here, likewise.
        """
        low, high = redis_time - told, redis_time - asked
        anew = self._learned_at is None
        if self._learned_at is not None:
            drift = DRIFT * max(told - self._learned_at, 0.0)
            known_low, known_high = self._offset - drift, self._latest + drift
            # What was known before may be more precise. If the two contradict each other, the server's clock was set.
            anew = low > known_high or known_low > high
            if not anew:
                low, high = max(low, known_low), min(high, known_high)
        if anew:
            self._latest_told = -math.inf
        self._offset, self._latest, self._learned_at = low, high, told

    def learn_first(self, redis_time: float, asked: float, told: float) -> None:
        """Do as ``learn``, if no server has told the time yet.

        Servers that share a layer may disagree about the time, and one of them has the last word.

        Args:
            redis_time, asked, told: as for ``learn``.
        """
        if self._learned_at is None:
            self.learn(redis_time, asked, told)


class Reconnections:
    """How often this process has connected to Redis. Lifetime: layer, in one process. Thread-safe.

    A ``count`` that has grown since it was last read means that a connection was lost, and maybe the data in Redis with
    it. ``changed`` is notified of each new connection.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.count = 0

    def add(self) -> None:
        """Count a new connection."""
        with self.changed:
            self.count += 1
            self.changed.notify_all()


#: Seconds between attempts to reach a server: the first, and the longest; jitter takes up to half of it off.
FIRST_RETRY = 0.05
LONGEST_RETRY = 1.0

#: Of our own: what a thread draws changes nothing for a program that has seeded ``random``.
_random = random.Random()


class Retry:
    """When to try a server again: jittered, further apart each time, for ever."""

    def __init__(self) -> None:
        self._interval = FIRST_RETRY
        self.at = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self.at > 0

    def failed(self) -> None:
        """Put the next try off, longer than the last time."""
        self.at = time.monotonic() + self._interval * _random.uniform(0.5, 1.0)
        self._interval = min(self._interval * 2, LONGEST_RETRY)

    def succeeded(self) -> None:
        """Start again with the shortest interval."""
        self._interval = FIRST_RETRY
        self.at = 0.0
