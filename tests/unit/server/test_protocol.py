"""What an ASGI application sees of an open connection, and its client of the application."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import weakref
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from routechan.server import WebSocketProtocol
from tests.waiting import until

from ..asgi.test_aborting import HANDSHAKE, deaf, serving
from ..asgi.test_incoming import PING, PONG, TEXT, frame
from .applications import (
    CLOSE,
    Application,
    Hasty,
    Part,
    busy_until,
    client,
    echo,
    listen,
    opened,
    port_of,
    raw,
    served,
    wait,
)

# Messages


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
async def test_echo(size: int) -> None:
    async with served(echo) as (_, server), client(server, max_size=None) as socket:
        for message in ("é" * size, b"\xff" * size):
            await socket.send(message)
            assert await socket.recv() == message


async def test_bursts() -> None:
    """However many frames come at once, each is answered, in order; no more is read than the application takes."""

    async def slow(application: Application, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while (event := await application.next())["type"] == "websocket.receive":
            await asyncio.sleep(0)
            await send({**event, "type": "websocket.send"})

    for part in (echo, slow):
        async with served(part) as (_, server), client(server) as socket:
            numbers = [str(number) for number in range(3000)]
            sending = asyncio.create_task(_send_all(socket, numbers))
            assert [await socket.recv() for _ in numbers] == numbers
            await sending


async def _send_all(socket: ClientConnection, messages: list[str]) -> None:
    for message in messages:
        await socket.send(message)


async def test_no_more_is_read_than_the_application_takes() -> None:
    """What a client sends meanwhile waits in TCP."""
    may_go_on = asyncio.Event()
    async with served(busy_until(may_go_on)) as (application, server):
        _, writer = await opened(server)
        [connection] = server.server_state.connections
        for _ in range(200):
            writer.write(frame(TEXT, b"x" * 50_000))
        await asyncio.sleep(0.2)
        assert len(connection._inbox) < 20
        may_go_on.set()
        writer.write(frame(CLOSE, b"\x03\xe8"))
        await until(lambda: application.ended)
        assert [len(event["text"]) for event in application.events[1:-1]] == [50_000] * 200
        writer.close()


async def test_fragments_with_a_ping_between() -> None:
    async with served(echo) as (application, server):
        reader, writer = await opened(server)
        writer.write(frame(0x01, b"\xc3") + frame(PING, b"?") + frame(0x00) + frame(0x80, b"\xa9"))
        assert await reader.readexactly(7) == bytes([PONG, 1]) + b"?" + b"\x81\x02\xc3\xa9"
        writer.write(frame(0x02, b"a") * 1 + frame(0x00, b"b") * 1000 + frame(0x80, b"c"))
        assert await reader.readexactly(1006) == b"\x82\x7e" + (1002).to_bytes(2, "big") + b"a" + b"b" * 1000 + b"c"
        writer.close()
        assert set(application.events[1]) == {"type", "text"}
        assert set(application.events[2]) == {"type", "bytes"}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(0x01, b"\xc3") + frame(0x80, b"\x28"), 1007),
        (frame(TEXT | 0x40, b"x"), 1002),
        (frame(0x83, b"x"), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x01, b"x") + frame(TEXT, b"x"), 1002),
        (frame(0x09, b"x"), 1002),
        (b"\x81\x01x", 1002),
        (frame(CLOSE, (1006).to_bytes(2, "big")), 1002),
        (frame(CLOSE, (5000).to_bytes(2, "big")) + frame(0x83), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(TEXT, b"x" * 1001), 1009),
        (frame(0x01, b"x" * 600) + frame(0x80, b"x" * 600), 1009),
    ],
    ids=[
        *("not UTF-8", "not UTF-8, in parts", "a reserved bit", "a reserved opcode", "goes on without a beginning"),
        *(
            "begins in the midst",
            "a ping in parts",
            "no mask",
            "a reserved code",
            "a reserved code and more",
            "half a code",
            "large",
            "large parts",
        ),
    ],
)
async def test_clients_that_break_a_rule(sent: bytes, code: int) -> None:
    """RFC 6455: the connection is closed with that code, and the application is told."""
    async with served(listen, ws_max_size=1000) as (application, server):
        reader, writer = await opened(server)
        writer.write(sent + frame(TEXT, b"never"))
        assert (await asyncio.wait_for(reader.read(), 5))[2:4] == code.to_bytes(2, "big")
        await until(lambda: application.ended)
        assert [event["type"] for event in application.events[1:]] == ["websocket.disconnect"]
        assert application.events[-1]["code"] == code
        writer.close()
        await until(lambda: not server.server_state.connections)


# The end


async def test_a_client_closes() -> None:
    async with served(listen) as (application, server):
        async with client(server) as socket:
            await socket.close(4001, "enough")
        assert socket.close_code == 4001
        await until(lambda: application.ended is True)
        assert application.events[-1] == {"type": "websocket.disconnect", "code": 4001, "reason": "enough"}
        reader, writer = await opened(server)
        writer.write(frame(CLOSE))
        assert await reader.read() == b"\x88\x00"
        await until(lambda: application.events[-1]["code"] == 1005)


async def test_a_client_is_lost() -> None:
    async with served(listen) as (application, server):
        _, writer = await opened(server)
        writer.transport.abort()
        await until(lambda: application.ended is True)
        assert application.events[-1]["code"] == 1006


async def test_the_application_closes() -> None:
    """Messages that crossed its close are not handed to it; one more it sends is an error of its own."""
    errors: list[Exception] = []

    async def close(application: Application, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4002, "reason": "é" * 100})
        await application.until_the_end()
        try:
            await send({"type": "websocket.send", "text": "late"})
        except (RuntimeError, OSError) as error:
            errors.append(error)

    async with served(close) as (application, server):
        reader, writer = await opened(server)
        assert await reader.readexactly(4) == b"\x88\x7c" + (4002).to_bytes(2, "big")
        assert await reader.readexactly(122) == ("é" * 61).encode()
        writer.write(frame(TEXT, b"crossed") + frame(CLOSE, (4002).to_bytes(2, "big")))
        assert await reader.read() == b""
        await until(lambda: application.ended)
        assert application.events[1:] == [{"type": "websocket.disconnect", "code": 4002, "reason": "é" * 100}]
        assert len(errors) == 1


async def test_an_application_that_ends_or_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def end(application: Application, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def fail(application: Application, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise ValueError("mine")

    for part, code in ((end, 1000), (fail, 1011)):
        async with served(part) as (_, server), client(server) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == code


async def test_sending_to_a_client_that_has_left() -> None:
    async def send_after(application: Application, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await application.until_the_end()
        await send({"type": "websocket.send", "text": "late"})

    async with served(send_after) as (application, server):
        async with client(server):
            pass
        await until(lambda: application.ended)
        assert isinstance(application.ended, OSError)  # as ASGI says


@pytest.mark.parametrize("part", [listen, wait], ids=["open", "connecting"])
async def test_the_server_stops(part: Part) -> None:
    async with served(part) as (application, server):
        reader, writer = await raw(server)
        await until(lambda: application.scope)
        if part is listen:
            await reader.readuntil(b"\r\n\r\n")
        server.should_exit = True
        last = await asyncio.wait_for(reader.read(), 5)
        assert last == b"\x88\x02" + (1012).to_bytes(2, "big") if part is listen else b" 503 " in last
        await until(lambda: application.ended)
        writer.close()


async def test_a_stop_that_is_spread() -> None:
    """Each socket is served until its own moment comes."""

    class Draining(WebSocketProtocol):
        drain_time = 0.5

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await echo(Application(echo, receive), send)

    async with serving(answer, Draining, lifespan="off") as server:
        sockets = [await client(server) for _ in range(20)]
        began, ended = asyncio.get_running_loop().time(), []
        server.should_exit = True

        async def talk(socket: ClientConnection) -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await socket.send("hello")
                    assert await socket.recv() == "hello"
                    await asyncio.sleep(0.01)
            ended.append(asyncio.get_running_loop().time() - began)

        await asyncio.gather(*map(talk, sockets))
        assert {socket.close_code for socket in sockets} == {1012}
        assert ended[-1] - ended[0] > 0.2


async def test_when_to_come_back() -> None:
    """Before its close, a client that speaks ``routechan.v1`` is told how long to wait: each another time."""

    class Draining(WebSocketProtocol):
        drain_time = 0.2

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async with serving(answer, Draining, lifespan="off") as server:
        sockets = [await client(server, subprotocols=["routechan.v1"]) for _ in range(20)]
        others = [await client(server), await client(server, subprotocols=["json"])]
        server.should_exit = True
        waits = []
        for socket in sockets:
            word, seconds = str(await asyncio.wait_for(socket.recv(), 20)).split()
            assert word == "!retry"
            waits.append(float(seconds))
        for socket in (*sockets, *others):
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 20)
        assert {socket.close_code for socket in (*sockets, *others)} == {1012}
    assert all(0 <= seconds <= 0.2 for seconds in waits)
    assert len(set(waits)) > 5


async def test_a_connection_that_is_gone_is_freed() -> None:
    """At once: it is part of no cycle that waits for the garbage collector."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await echo(Application(echo, receive), send)

    async with serving(answer, WebSocketProtocol, lifespan="off") as server:
        gc.collect()
        gc.disable()
        try:
            async with client(server) as socket:
                await socket.send("hello")
                await socket.recv()
                [connection] = map(weakref.ref, server.server_state.connections)
                assert connection() is not None
            await until(lambda: connection() is None, "the end of the connection")
        finally:
            gc.enable()


# Clients that do not read, and pings


async def test_a_client_that_does_not_read() -> None:
    """The application waits in ``send`` until it does; the pings of the client cost no memory."""
    sent = 0

    async def flood(application: Application, send: Any) -> None:
        nonlocal sent
        await send({"type": "websocket.accept"})
        while sent < 200:
            await send({"type": "websocket.send", "bytes": bytes(100_000)})
            sent += 1
        await application.until_the_end()

    async with served(flood) as (application, server):
        reader, writer = await opened(server)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: sent > 5)
        await asyncio.sleep(0.2)
        waits = sent
        assert waits < 200
        writer.write(b"".join(frame(PING, b"%03d" % number) for number in range(1000)))
        await asyncio.sleep(0.2)
        assert sent == waits
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        received = await reader.readexactly(200 * 100_010 + 5)
        assert received.count(bytes([PONG, 3])) == 1
        writer.close()
        await until(lambda: application.ended)


async def test_a_client_that_never_reads_is_aborted() -> None:
    async def flood(application: Application, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": bytes(20_000_000)})
        await application.until_the_end()

    async with served(flood, Hasty, ws_ping_interval=0.05, ws_ping_timeout=0.05) as (application, server):
        writer = await deaf(server)
        await until(lambda: application.ended)
        assert application.events[-1]["code"] == 1011
        await until(lambda: not server.server_state.connections)
        writer.transport.abort()


async def test_pings_are_sent_and_answered() -> None:
    async with served(listen, ws_ping_interval=0.02, ws_ping_timeout=5) as (application, server):
        reader, writer = await opened(server)
        for _ in range(3):
            ping = await asyncio.wait_for(reader.readexactly(6), 5)
            assert ping[:2] == b"\x89\x04"
            writer.write(frame(PONG, b"unasked") + frame(PONG, ping[2:]))
        writer.close()
        await until(lambda: application.ended)
    async with served(listen, ws_ping_interval=0.02, ws_ping_timeout=None) as (application, server):
        reader, writer = await opened(server)
        await asyncio.wait_for(reader.readexactly(18), 5)
        writer.close()
        await until(lambda: application.ended)


async def test_the_pong_of_a_client_whose_messages_are_not_read_yet() -> None:
    """It lies behind them, so it is not missed."""
    may_go_on = asyncio.Event()
    async with served(busy_until(may_go_on), ws_ping_interval=0.02, ws_ping_timeout=0.02) as (application, server):
        reader, writer = await opened(server)
        writer.write(frame(TEXT, b"one"))
        await reader.readexactly(5 * 6)
        may_go_on.set()
        await until(lambda: application.ended)
        assert [event.get("text", event.get("code")) for event in application.events[1:]] == ["one", 1011]


# Other transports


async def test_a_unix_socket(tmp_path: Path) -> None:
    async with served(echo, uds=str(tmp_path / "s")) as (application, _):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(HANDSHAKE)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(TEXT, b"hello"))
        assert await reader.readexactly(7) == b"\x81\x05hello"
        writer.close()
        await until(lambda: application.ended)
        assert application.scope["client"] is None


async def test_tls(tmp_path: Path) -> None:
    certificate, key = made_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(certificate))
    async with served(echo, ssl_certfile=str(certificate), ssl_keyfile=str(key)) as (application, server):
        url = f"wss://localhost:{port_of(server)}/"
        async with connect(url, ssl=context, host="127.0.0.1", max_size=None) as socket:
            for message in ("hello", "x" * 300_000, b"\0" * 70_000):
                await socket.send(message)
                assert await socket.recv() == message
        socket.transport.close()  # Python 3.10 complains of the client's, whose server has closed first
        await until(lambda: application.ended)
        assert application.scope["scheme"] == "wss"
        assert application.events[-1]["code"] == 1000


def made_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
