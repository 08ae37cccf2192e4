"""One connection to one Redis server."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis import exceptions

logger = logging.getLogger("routechan")

#: What ends a connection.
FAULTS = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)

#: Replies of a server that did not execute the command, because it is not, or not now, the one to ask.
NOT_HERE = (
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    exceptions.MovedError,
    exceptions.AskError,
)

#: The version whose commands are used where a server has them; LMPOP and BLMPOP came with it.
NEWER = (7, 0)


class Connection:
    """Commands out, replies in, in order. Lifetime: until the first fault; then ``close`` it and open another.

    ``pool`` is redis-py's; only its way to make connections is used. Not thread-safe.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._connection: Any = pool.make_connection()
        self.newer = False  # whether the server is a Redis 7 or later
        self.time = 0.0  # the server's clock when the connection was opened

    def open(self) -> None:
        """Connect, and learn the server's version and time. Raises one of ``FAULTS``."""
        try:
            self._connection.connect()
            self.write([("TIME",), ("INFO", "server")])
            seconds, information = self.read(), self.read()
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
        self.time = int(seconds[0]) + int(seconds[1]) / 1e6
        # A server that does not tell its version is asked nothing that a Redis 6.2 does not know.
        self.newer = isinstance(information, bytes) and _version(information) >= NEWER

    def write(self, commands: Sequence[tuple[Any, ...]]) -> None:
        self._connection.send_packed_command(pack_commands(commands), check_health=False)

    def read(self) -> Any:
        """The next reply; an error that the server replied is returned, a fault is raised."""
        try:
            return self._connection.read_response()
        except exceptions.ResponseError as error:
            return error

    def read_many(self, count: int) -> tuple[list[Any], bool, Exception | None]:
        """So many replies as ``read`` gives them, or those before a fault; whether all are good; and the fault."""
        read = self._connection.read_response
        replies: list[Any] = []
        good = True
        for _ in range(count):
            try:
                replies.append(read())
            except exceptions.ResponseError as error:
                replies.append(error)
                good = False
            except FAULTS as fault:
                return replies, False, fault
        return replies, good, None

    def close(self) -> None:
        try:
            self._connection.disconnect()
        except FAULTS:  # it is gone, which is what was wanted
            logger.debug("Closing a broken connection to Redis", exc_info=True)


def is_ask(error: Exception) -> bool:
    """Whether another server is to be asked, this once; to redis-py a slot that has moved for good is that too."""
    return isinstance(error, exceptions.AskError) and not isinstance(error, exceptions.MovedError)


def pack_commands(commands: Iterable[tuple[Any, ...]]) -> list[bytes]:
    """Commands in RESP, as few pieces: redis-py's own way costs a sixth of all the time of a busy pipe."""
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
    return [b"".join(parts)]


# Names of commands, keys and numbers come again and again.
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
