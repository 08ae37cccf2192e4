"""Nothing a client sends ends the server, and the log has one line for each thing worth one."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from routechan import Message, application, route
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, channel_layers
from tests.harness import Connection, WebSocket
from tests.integration.servers.test_sockets import url
from tests.processes import ROOT, ServerProcess
from tests.waiting import stretched

from .conformance.client import frame

pytestmark = pytest.mark.slow

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def parse(message: Message) -> None:
    """A consumer as tutorials have it: it trusts what comes."""
    number = int(message["text"])
    message.reply_channel.send({"text": str(number)})


class Records(logging.Handler):
    """The log of one example."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture(autouse=True)
def layer() -> Iterator[None]:
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer().sync):
        yield


def logged(run: Any) -> list[str]:
    """What the library logs while ``run()`` runs on a loop of its own."""
    records = Records()
    logger = logging.getLogger("routechan")
    logger.addHandler(records)
    try:
        asyncio.run(run())
    finally:
        logger.removeHandler(records)
    return records.texts


def routed() -> Any:
    return application(
        [
            route("websocket.receive", parse, path=r"^/number/$"),
            route("websocket.connect", parse, headers=r"x", path=r"^/odd/$"),
            route("http.request", parse, path=r"^/odd/$", query_string=r"a"),
        ]
    )


frames = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "websocket.receive", "text": text}, st.text(max_size=50)),
        st.builds(lambda data: {"type": "websocket.receive", "bytes": data}, st.binary(max_size=50)),
        st.builds(
            lambda text: {"type": "websocket.receive", "text": text, "bytes": None},
            st.integers().map(str),
        ),
    ),
    max_size=10,
)


@FUZZ
@given(frames)
def test_frames(sent: list[dict[str, Any]]) -> None:
    """Frames that their consumer fails on are logged, each other is answered, and the socket lives on."""

    def fails(event: dict[str, Any]) -> bool:
        try:
            int(event["text"])
        except (KeyError, ValueError):
            return True
        return False

    async def run() -> None:
        async with WebSocket(routed(), "/number/") as connection:
            await connection.accepted()
            for event in sent:
                connection.push(event)
            connection.send("42")
            for event in sent:
                if not fails(event):
                    assert await connection.text() == str(int(event["text"]))
            assert await connection.text() == "42"

    texts = logged(run)
    assert bool(texts) == any(map(fails, sent))  # each kind of error is logged once
    assert all(
        "Error in consumer tests.integration.servers.test_fuzz.parse on websocket.receive" in text for text in texts
    )


names = st.binary(max_size=20)
headers = st.lists(st.tuples(names, st.binary(max_size=30)), max_size=8)
scopes = st.fixed_dictionaries(
    {
        "path": st.one_of(st.text(max_size=30).map("/".__add__), st.sampled_from(["/number/", "/odd/", "", "/a\nb"])),
        "headers": st.one_of(
            headers,
            st.builds(lambda value: [(b"origin", value), (b"host", b"here")], st.binary(max_size=30)),
            st.builds(lambda value: [(b"host", value), (b"origin", b"http://[")], st.binary(max_size=30)),
        ),
        "query_string": st.binary(max_size=20),
        "root_path": st.sampled_from(["", "/pre", "/"]),
        "subprotocols": st.lists(st.text(max_size=10, alphabet=st.characters(max_codepoint=255)), max_size=3),
        "client": st.sampled_from([None, ("1.2.3.4", 5)]),
        "server": st.sampled_from([None, ("/run/socket", None), ("1.2.3.4", 80)]),
    }
)


@FUZZ
@given(scopes)
def test_handshakes(scope: dict[str, Any]) -> None:
    """Whatever path and headers a handshake has, it is accepted, or refused with one record."""
    outcome = ""

    async def run() -> None:
        nonlocal outcome
        connection = Connection(routed(), {"type": "websocket", **scope})
        async with connection:
            connection.push({"type": "websocket.connect"})
            outcome = (await connection.event())["type"]

    texts = logged(run)
    assert outcome in ("websocket.accept", "websocket.close")
    assert len(texts) == (outcome == "websocket.close")
    assert not any("\n" in text or "\r" in text for text in texts), "a client wrote lines of its own into the log"


@FUZZ
@given(scopes, st.sampled_from(["GET", "POST", "", "\u00e4"]), st.binary(max_size=50))
def test_requests(scope: dict[str, Any], method: str, body: bytes) -> None:
    """Whatever a request has, it is answered; here nothing but the routed path reaches a consumer."""
    status = 0

    async def run() -> None:
        nonlocal status
        # What reaches the consumer fails there, which is answered with 503.
        async with Connection(routed(), {"type": "http", "method": method, **scope}) as connection:
            connection.push({"type": "http.request", "body": body})
            with suppress(asyncio.TimeoutError):
                status = (await asyncio.wait_for(connection.from_application.get(), 0.2)).get("status", 0)

    texts = logged(run)
    assert status in (0, 404, 503)
    assert len(texts) == (status != 404)


def handshake(lines: list[bytes]) -> bytes:
    """A request that opens a socket, with further lines."""
    return b"\r\n".join(
        [
            b"GET /echo/ HTTP/1.1",
            b"Host: x",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *lines,
            b"",
            b"",
        ]
    )


#: Frames that may be right: those of text and bytes, and whatever else the bits of a frame say.
wire_frames = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from([1, 2, 9, 10]), st.text(max_size=40).map(str.encode)),
        st.builds(
            frame,
            st.integers(0, 15),
            st.binary(max_size=130),
            fin=st.booleans(),
            rsv=st.sampled_from([0, 0, 0, 1, 4, 7]),
        ),
        st.builds(lambda whole, end: whole[:end], st.builds(frame, st.just(2), st.binary()), st.integers(1, 12)),
        st.builds(lambda length: b"\x82\xff" + length.to_bytes(8, "big"), st.integers(0, 2**64 - 1)),
    ),
    max_size=6,
).map(b"".join)

HEADERS = [
    *(b"Origin", b"Host", b"Cookie", b"Upgrade", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions"),
    *(b"Content-Length", b"Transfer-Encoding", b"X-Forwarded-For"),
]
VALUES = [b"permessage-deflate", b"permessage-deflate; server_max_window_bits=99", b"chunked", b"-1"]

#: What a request may have beside what it needs: lines that are headers, or are not.
lines = st.lists(
    st.one_of(
        st.builds(lambda name, value: name + b": " + value, st.binary(max_size=12), st.binary(max_size=20)),
        st.builds(
            lambda name, value: name + b": " + value,
            st.sampled_from(HEADERS),
            st.one_of(st.binary(max_size=20), st.sampled_from(VALUES)),
        ),
    ),
    max_size=3,
)

#: All that a client may write: no HTTP, a request with odd lines, or frames behind a handshake.
WRITTEN = {
    "bytes": st.binary(max_size=200),
    "headers": st.builds(lambda lines, rest: handshake(lines) + rest, lines, wire_frames),
    "frames": wire_frames.map(handshake([]).__add__),
}


#: Descriptors and tasks that a process may have more after its first clients: what it opens once.
SPARE = 8


@pytest.mark.parametrize("kind", WRITTEN)
async def test_what_clients_write(server: ServerProcess, kind: str) -> None:
    """Whatever it is, the server serves the next client, holds nothing of this one, and no code of ours raised."""
    before = await held(server)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(WRITTEN[kind])
    def throw(data: bytes) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.settimeout(0.05 if server.kind == "hypercorn" else 0.5)  # it does not end every connection
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass

    await asyncio.to_thread(throw)
    assert server.process.poll() is None
    if server.kind != "hypercorn":  # 0.18 keeps each socket that ends without a close frame, with any application
        after: dict[str, int] = {}
        deadline = time.monotonic() + stretched(10)
        while not after or any(after[what] > before[what] + SPARE for what in ("descriptors", "tasks")):
            assert time.monotonic() < deadline, f"the server holds {after}, and held {before}"
            after = await held(server)
    assert f'File "{ROOT}/routechan' not in server.output, server.output
    assert "The server refused an event" not in server.output, server.output


async def held(server: ServerProcess) -> dict[str, int]:
    """What the server process holds while it serves one client, as its application says."""
    async with connect(url(server, "/held/")) as alive:
        await alive.send("what?")
        numbers: dict[str, int] = json.loads(await alive.recv())
        return numbers
