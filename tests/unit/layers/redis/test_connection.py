"""One connection, over a socket whose other end the test plays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from routechan.layers.redis.connection import FAULTS, Connection

from .fakes import SOON

TIME = b"*2\r\n$4\r\n1000\r\n$6\r\n500000\r\n"


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


class Server:
    """Answers each command with what ``replies`` has for its name, else with OK. Lifetime: test."""

    def __init__(self) -> None:
        self.replies: dict[str, bytes] = {"TIME": TIME, "INFO": bulk("redis_version:7.2.4"), "PING": b"+PONG\r\n"}
        self.hold = threading.Event()  # reads on from here when it is set
        self.hold.set()
        self.read: list[list[bytes]] = []
        self._ended = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def pool(self) -> redis.ConnectionPool:
        return redis.ConnectionPool(host="127.0.0.1", port=self.port, socket_timeout=SOON, protocol=2)

    def end(self) -> None:
        """Close the connection, with all that was not read."""
        self._ended = True
        self.hold.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hold.set()
        self._thread.join(SOON)

    def _serve(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines:
            while head := lines.readline():
                command = [self._part(lines) for _ in range(int(head[1:]))]
                self.read.append(command)
                reply = self.replies.get(command[0].decode(), b"+OK\r\n")
                if not reply:
                    return
                connection.sendall(reply)
                self.hold.wait(SOON)
                if self._ended:
                    return

    def _part(self, lines: Any) -> bytes:
        data: bytes = lines.read(int(lines.readline()[1:]))
        lines.readline()
        return data


@pytest.fixture
def server() -> Iterator[Server]:
    """It serves one connection."""
    made = Server()
    yield made
    made.close()


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    """One that is not open yet."""
    made = Connection(server.pool())
    yield made
    made.close()


@pytest.mark.parametrize(
    ("information", "newer"),
    [
        (bulk("# Server\r\nredis_version:7.0.0\r\nos:Linux"), True),
        (bulk("redis_version:6.2.14"), False),
        (bulk("valkey_version:9"), False),
        (b"-NOPERM this user may not ask\r\n", False),
    ],
    ids=["newer", "older", "says nothing", "refuses"],
)
def test_what_it_learns(server: Server, connection: Connection, information: bytes, newer: bool) -> None:
    """R3, R6: the server's time; and its version, where a server that does not say it is an old one."""
    server.replies["INFO"] = information
    connection.open()
    assert connection.time == 1000.5
    assert connection.asked_at <= connection.told_at
    assert connection.newer is newer


@pytest.mark.parametrize("reply", [b"-NOPERM this user may not ask\r\n", b""], ids=["refused", "closed"])
def test_a_server_that_does_not_say_the_time(server: Server, connection: Connection, reply: bytes) -> None:
    """R6: it is not reached yet, whatever it says; nothing is left open."""
    server.replies["TIME"] = reply
    with pytest.raises(FAULTS):
        connection.open()
    with pytest.raises(RedisConnectionError, match="the connection was closed"):
        connection.write([("PING",)])


def test_a_login_that_is_refused(server: Server) -> None:
    """R6: an error like any of a server that cannot be reached: it may be allowed later."""
    server.replies["AUTH"] = b"-WRONGPASS invalid username-password pair\r\n"
    connection = Connection(
        redis.ConnectionPool(host="127.0.0.1", port=server.port, username="me", password="wrong", protocol=2)
    )
    with pytest.raises(RedisConnectionError, match="invalid username-password pair"):
        connection.open()


def test_a_server_that_takes_no_more_for_a_while(server: Server, connection: Connection) -> None:
    """R2: what has not left stays, and is sent by ``finish``; nothing is sent twice."""
    connection.open()
    server.hold.clear()
    connection.set_timeout(0.05)
    assert connection.write([("PING",)])
    assert connection.read() == b"PONG"
    body = b"x" * 16_000_000  # more than both ends of a socket hold
    assert not connection.write([("SET", "key", body), ("PING",)])
    replies, good, fault = connection.finish(2, 0.05)
    assert (replies, good) == ([], False)
    assert isinstance(fault, RedisTimeoutError)
    server.hold.set()
    assert connection.finish(2, SOON) == ([b"OK", b"PONG"], True, None)
    assert server.read[-2:] == [[b"SET", b"key", body], [b"PING"]]


def test_a_server_that_ends_while_it_takes_no_more(server: Server, connection: Connection) -> None:
    """R2: the fault is told, with no reply."""
    connection.open()
    server.hold.clear()
    connection.set_timeout(0.05)
    assert connection.write([("PING",)])
    assert connection.read() == b"PONG"
    assert not connection.write([("SET", "key", b"x" * 16_000_000)])
    server.end()
    replies, good, fault = connection.finish(1, SOON)
    assert (replies, good) == ([], False)
    assert isinstance(fault, RedisConnectionError)
