"""Views by way of messages, on real servers with real clients."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.processes import ServerProcess, free_port
from tests.unit.django import views

pytestmark = pytest.mark.slow

APPLICATION = "tests.unit.django.processes.asgi:channel_layer"
UVICORN = ["-m", "uvicorn", APPLICATION, "--port", "PORT", "--log-level", "warning"]
COMMANDS = {
    "httptools": [*UVICORN, "--http", "httptools"],
    "h11": [*UVICORN, "--http", "h11"],
    "daphne": ["-m", "daphne", APPLICATION, "-p", "PORT", "-v", "0"],
}


@pytest.fixture(scope="module", params=list(COMMANDS))
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    port = free_port()
    with ServerProcess([argument.replace("PORT", str(port)) for argument in COMMANDS[request.param]], port) as process:
        process.kind = request.param
        yield process


def ask(
    server: ServerProcess, path: str, method: str = "GET", body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/stream/?parts=1000", "/astream/?parts=1000"])
def test_streams(server: ServerProcess, path: str) -> None:
    """HT-36, HT-40: a thousand chunks, whole and in order."""
    status, headers, content = ask(server, path)
    assert status == 200
    assert content == b"".join(b"%d," % number for number in range(1000))
    assert headers["x-async"] == "yes"


def test_large_responses_and_files(server: ServerProcess) -> None:
    """HT-35, HT-37: megabytes in messages of half a megabyte; a file."""
    assert ask(server, "/large/?size=8000000")[2] == b"0123456789abcdef" * 500_000
    assert ask(server, "/file/")[2] == Path(views.__file__).read_bytes()


def test_cookies(server: ServerProcess) -> None:
    """HT-34: the leading space of cookies does not reach the wire; some servers refuse it."""
    assert ask(server, "/cookie/")[1]["set-cookie"] == "a=b; Path=/"


def test_heads_and_posts(server: ServerProcess) -> None:
    """HT-32, HT-12: HEAD has no body on the wire; the body of a POST is in the message."""
    assert ask(server, "/missing/", "HEAD")[::2] == (404, b"")
    assert ask(server, "/upload/", "PUT", b"x" * 2_000_000)[0] == 403  # CSRF, which has read nothing
    assert ask(server, "/exempt/", "POST", b"x" * 2_000_000)[2] == b"POST 2000000"
    assert ask(server, "/exempt/", "POST", b"x" * 3_000_000)[0] == 413


def test_a_request_no_route_takes_is_djangos(server: ServerProcess) -> None:
    """RT-01, RT-33: the custom route was believed until it was asked; then Django's own handler answers."""
    assert ask(server, "/hello/")[::2] == (200, b"hello /hello/")


@contextmanager
def client(server: ServerProcess, path: str) -> Iterator[socket.socket]:
    """A connection that has asked for ``path``."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as made:
        made.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        yield made


def closings(server: ServerProcess) -> int:
    """How many streams of views have been closed so far."""
    status, _, content = ask(server, "/closings/")
    return int(content) if status == 200 else -1


def test_clients_that_leave(server: ServerProcess) -> None:
    """OB-32, HT-24: their generators are closed and their threads are free for others."""
    before = closings(server)
    for path in ("/stream/", "/astream/") * 4:  # twice as many as there are threads
        with client(server, f"{path}?parts=100000000") as leaving:
            assert leaving.recv(10).startswith(b"HTTP/1.1")
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.wait_until(lambda: closings(server) == before + 8, "all eight are closed")


def test_clients_that_do_not_read(server: ServerProcess) -> None:
    """OB-32: what was sent has to be taken within the HTTP time; then their threads are free."""
    if server.kind == "daphne":
        pytest.skip("it takes everything at once, and never says that a client does not read")
    before = closings(server)
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(client(server, "/stream/?parts=100000000&size=100000"))
        server.wait_until(lambda: closings(server) == before + 4, "all four are cut off")
