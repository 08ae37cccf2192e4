"""One socket in an application: what its consumers see, and what its client sees."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, DenyConnection, Group, Message, WebsocketCloseException, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ...harness import Connection
from .clients import Client, Open, close, logged, text
from .conftest import Serve
from .consumers import SOCKET, Log, accept, echo, join

ACCEPT = {"type": "websocket.accept"}


async def test_the_messages_of_one_socket(serve: Serve) -> None:
    """6.8, 6.10, 6.11, appendix D: reply channel and path in each, order from 0 without gaps."""
    log = Log({"accept": True})
    async with Open(await serve(log.routing()), "/chat/", query_string=b"a=1") as client:
        client.push({"type": "websocket.receive", "text": "hello", "bytes": None})
        client.push({"type": "websocket.receive", "bytes": b"\x00", "text": None})
        client.leave(4001)
    assert log.orders() == [("connect", 0), ("receive", 1), ("receive", 2), ("disconnect", 3)]
    [name] = {entry["reply_channel"] for entry in log.seen}
    assert name.startswith("websocket.send.")
    common = {"reply_channel": name, "path": "/chat/"}
    assert log.seen[0]["query_string"] == b"a=1"
    assert log.seen[1:] == [
        {"channel": "websocket.receive", **common, "order": 1, "text": "hello"},
        {"channel": "websocket.receive", **common, "order": 2, "bytes": b"\x00"},
        {"channel": "websocket.disconnect", **common, "order": 3, "code": 4001},
    ]


@pytest.mark.parametrize(("code", "expected"), [(1000, 1000), (4001, 4001), (1001, 1001), (1005, None), (1006, 1006)])
async def test_the_code_a_client_left_with(serve: Serve, code: int, expected: int | None) -> None:
    """6.11: the disconnect has the client's code, None if it sent none, 1006 if the connection was lost."""
    log = Log({"accept": True})
    async with Open(await serve(log.routing())) as client:
        client.leave(code)
    assert (log.last["code"], log.last["order"]) == (expected, 1)


async def test_a_client_that_left_before_the_decision(serve: Serve) -> None:
    """6.11: the disconnect has 1006 and order 1; a later acceptance is ignored."""
    log = Log()
    async with Client(await serve(log.routing())) as client:
        await until(lambda: log.seen)
        client.leave(1006)
        await client.over()
        Channel(log.last["reply_channel"]).send({"accept": True})
        assert client.events() == []
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 1006


@pytest.mark.parametrize("reply", [{"accept": False}, {"close": True}, {"close": 4001}, {"accept": False, "text": "a"}])
async def test_a_denied_socket(serve: Serve, reply: dict[str, Any]) -> None:
    """6.9, 6.11, items 154, 156: HTTP 403 for the client, a disconnect with 1006 and order 1 for consumers."""
    log = Log(reply)
    async with Client(await serve(log.routing())) as client:
        assert (await client.event())["type"] == "websocket.close"
        client.leave(1000)  # whatever the server says after a denial
        await client.over()
        assert client.events() == []
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 1006


async def test_an_opening_reply_opens_the_socket(serve: Serve) -> None:
    """6.9, item 155: data accepts."""
    async with Open(await serve(Log({"text": "welcome"}).routing())) as client:
        assert await client.text() == "welcome"


@pytest.mark.parametrize(
    ("channel", "error", "events"),
    [
        ("websocket.connect", DenyConnection(), [close(1000)]),
        ("websocket.receive", WebsocketCloseException(4002), [ACCEPT, close(4002)]),
    ],
    ids=["deny", "close"],
)
async def test_an_exception_that_ends_the_socket(
    serve: Serve, channel: str, error: Exception, events: list[Any]
) -> None:
    """WK-16, EX-07, 2.9: a connect consumer denies; our reply channels are ones that a close exception accepts."""

    async def consumer(message: Message) -> None:
        raise error

    async with Client(await serve([route(channel, consumer)])) as client:
        client.send("a")
        assert [await client.event() for _ in events] == events


async def test_a_server_close(serve: Serve) -> None:
    """6.11: the client echoes the code, and consumers see it; frames that crossed the close are ignored."""
    log = Log({"text": "bye", "close": 4005})
    async with Open(await serve(log.routing())) as client:
        events = [await client.event() for _ in range(2)]
        client.send("crossed the close")
        client.leave(4005)
    assert events == [text("bye"), close(4005)]
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 4005


async def test_a_client_that_does_not_answer_our_close(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """6.11: the wait for it is bounded; the disconnect comes all the same."""
    monkeypatch.setattr("routechan.asgi.websocket.CLOSE_TIMEOUT", 0.02)
    log = Log({"accept": True, "close": 4005})
    async with Client(await serve(log.routing())) as client:
        await client.over()
        assert client.events() == [ACCEPT, close(4005)]
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 4005


# Before any consumer


async def test_a_client_that_left_before_the_connect(serve: Serve) -> None:
    """ASGI: a server may report the disconnect alone; no consumer sees the connection."""
    log = Log({"accept": True})
    async with Connection(await serve(log.routing()), {"type": "websocket", "path": "/", "headers": []}):
        pass
    assert log.seen == []


@pytest.mark.parametrize(
    ("pattern", "path", "hint"),
    [
        ("^/chat/", "/other/", ""),
        ("^/chat/$", "/chat", "; one matches '/chat/', so change the slash at the end, in the page or in the pattern"),
        ("^chat/$", "/chat/", "; one matches 'chat/', but paths begin with a slash: write '/chat/' in its pattern"),
        ("^/chat$", "/chat/", "; one matches '/chat', so change the slash at the end, in the page or in the pattern"),
    ],
)
async def test_a_socket_no_route_could_serve_is_refused(
    serve: Serve, caplog: pytest.LogCaptureFixture, pattern: str, path: str, hint: str
) -> None:
    """OB-16: such a socket is refused (1.x accepted and ignored it); the log hints at a wrong slash."""
    log = Log({"accept": True})
    async with Client(await serve(log.routing(path=pattern)), path) as client:
        await client.refused()
    assert log.seen == []
    assert logged(caplog) == [
        f"WebSocket '{path}' is refused: no route for websocket.connect, websocket.receive, websocket.disconnect "
        f"matches this path{hint}"
    ]


async def test_a_route_for_frames_alone_serves_a_socket(serve: Serve) -> None:
    """One route, ``websocket.receive`` only; the default consumer accepts."""
    async with Open(await serve([route("websocket.receive", echo)])) as client:
        client.send("hello")
        assert await client.text() == "hello"


async def test_a_foreign_origin_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """LD-09: it is refused before any consumer runs; the log says how to allow it."""
    log = Log({"accept": True})
    headers = [(b"host", b"example.com"), (b"origin", b"http://evil.com")]
    async with Client(await serve(log.routing()), "/chat/", headers=headers) as client:
        await client.refused()
    assert log.seen == []
    [line] = logged(caplog)
    assert line.startswith("WebSocket '/chat/' is refused: the page's origin 'http://evil.com' is not this host")


@pytest.mark.parametrize(
    ("origins", "origin"), [(None, None), (None, b"http://example.com"), (["evil.com"], b"http://evil.com")]
)
async def test_an_expected_origin(serve: Serve, origins: list[str] | None, origin: bytes | None) -> None:
    """item 159, and ``allowed_origins``."""
    headers = [(b"host", b"example.com"), *([(b"origin", origin)] if origin else [])]
    application = await serve(Log({"accept": True}).routing(), allowed_origins=origins)
    async with Client(application, headers=headers) as client:
        await client.open()


async def test_the_subprotocol(serve: Serve) -> None:
    """6.8: ``subprotocols`` of the options; the client's first choice among them."""
    application = await serve(Log({"accept": True}).routing(), subprotocols=["v1", "v2"])
    for offered, chosen in ((["v3", "v2", "v1"], "v2"), (["v3"], None), ([], None)):
        async with Client(application, subprotocols=offered) as client:
            assert (await client.event()).get("subprotocol") == chosen


# The lines of a client that asks for them


def speaking(application: Any, *offers: str) -> Client:
    offered = ["routechan.v1", *offers]
    headers = [(b"host", b"testserver"), (b"sec-websocket-protocol", ", ".join(offered).encode())]
    return Client(application, "/chat/", headers=headers, subprotocols=offered)


async def test_a_socket_with_lines(serve: Serve) -> None:
    """Replies and group messages travel behind a line, and consumers see neither lines nor the offer."""
    log = Log({"accept": True, "text": "welcome"})
    application = await serve(log.routing(), subprotocols=["json"])
    async with speaking(application, "routechan.v1.since.abc", "xml") as client:
        assert await client.event() == {**ACCEPT, "subprotocol": "routechan.v1"}
        assert await client.text() == "\nwelcome"
        client.send("\nhello\nthere")
        client.push({"type": "websocket.receive", "bytes": b"\n\x00"})
        await until(lambda: len(log.seen) == 3)
        Channel(log.last["reply_channel"]).send({"bytes": b"\n"})
        assert await client.event() == {"type": "websocket.send", "bytes": b"\n\n"}
        client.leave()
    assert log.seen[0]["headers"] == [[b"host", b"testserver"], [b"sec-websocket-protocol", b"xml"]]
    assert [entry.get("text") for entry in log.seen] == [None, "hello\nthere", None, None]
    assert log.of("websocket.receive")[1]["bytes"] == b"\x00"
    assert log.orders() == [("connect", 0), ("receive", 1), ("receive", 2), ("disconnect", 3)]


async def test_a_group_of_sockets_with_and_without_lines(serve: Serve) -> None:
    """Each member gets a message as its client asked for it."""
    application = await serve([route("websocket.connect", join)])
    async with Open(application) as plain, speaking(application) as one, speaking(application) as other:
        for client in (one, other):
            await client.accepted()
        Group("all").send({"text": "hello"})
        assert await plain.text() == "hello"
        assert [await client.text() for client in (one, other)] == ["\nhello"] * 2
        for client in (plain, one, other):
            client.leave()


async def test_a_line_that_the_protocol_does_not_have(serve: Serve) -> None:
    """The socket is closed with 1002, and no consumer sees the frame."""
    log = Log({"accept": True})
    async with speaking(await serve(log.routing())) as client:
        await client.accepted()
        client.send("hello")
        assert await client.event() == close(1002)
        client.leave(1002)
    assert (log.last["channel"], log.last["code"]) == ("websocket.disconnect", 1002)
    assert log.of("websocket.receive") == []


async def test_answers_that_nobody_awaits(serve: Serve) -> None:
    """An answer to no open question is dropped, and no consumer sees it."""
    log = Log({"accept": True})
    async with speaking(await serve(log.routing())) as client:
        await client.accepted()
        for line in ("!answer 3\nfour", "!failed 3"):
            client.send(line)
        client.leave()
    assert log.of("websocket.receive") == []


# The handshake timeout


@pytest.mark.parametrize("kind", ["says nothing", "hangs"])
async def test_a_socket_never_accepted_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """6.12, 6.11: after the handshake timeout, with a line that says what to write; code 1006."""
    log, hang = Log(), asyncio.Event()

    async def hanging(message: Message) -> None:
        log.consume(message)
        await hang.wait()

    routing = log.routing()
    if kind == "hangs":
        routing.insert(0, route("websocket.connect", hanging))
    async with Client(await serve(routing, handshake_timeout=0.02), "/chat/") as client:
        assert await client.event() == close(1000)
        hang.set()
        client.leave(1006)
    assert log.orders() == [("connect", 0), ("disconnect", 1)]
    assert log.last["code"] == 1006
    [line] = logged(caplog)
    assert line.startswith("WebSocket '/chat/' is refused: it was not accepted within 0.02 s: its consumer ")
    assert ('has to send {"accept": True}' if kind == "says nothing" else "hanging is still running, after ") in line


async def test_an_accepted_socket_stays(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.12: the handshake timeout is for the handshake."""
    async with Open(await serve([route("websocket.connect", accept)], handshake_timeout=1.0)) as client:
        assert await client.nothing(1.1)
    assert logged(caplog) == []


async def test_somebody_else_may_accept(serve: Serve) -> None:
    """7.5: any code that knows the reply channel may answer, in any thread and at any later time."""
    log = Log()
    async with Client(await serve(log.routing())) as client:
        await until(lambda: log.seen)
        assert client.events() == []
        await asyncio.to_thread(Channel(log.last["reply_channel"]).send, {"accept": True, "text": "later"})
        await client.open()
        assert await client.text() == "later"


# Groups, and what is left of a socket


async def test_a_group_of_sockets(serve: Serve) -> None:
    """A group send reaches all open sockets; one that left gets nothing and causes no error."""

    def receive(message: Message) -> None:
        Group("all").send({"text": message["text"]})

    application = await serve([route("websocket.connect", join), route("websocket.receive", receive)])
    async with Open(application) as first, Open(application) as second:
        first.send("hello")
        assert [await first.text(), await second.text()] == ["hello", "hello"]
        second.leave()
        await second.over()
        first.send("again")
        assert await first.text() == "again"
        assert second.events() == []


@pytest.mark.parametrize(
    "reply",
    [{"accept": True}, {"accept": True, "close": True}, {"close": True}],
    ids=["leaves", "is closed", "is denied"],
)
async def test_a_socket_that_is_gone_leaves_its_groups(
    serve: Serve, default_layer: SyncChannelLayer, reply: dict[str, Any]
) -> None:
    """A closed socket leaves its groups without a disconnect consumer."""

    def connect(message: Message) -> None:
        Group("all").add(message.reply_channel)
        message.reply_channel.send(reply)

    async with Client(await serve([route("websocket.connect", connect)])) as client:
        await client.event()
        assert len(default_layer.group_channels("all")) == 1
        client.leave()
    assert default_layer.group_channels("all") == []


async def test_a_late_member_leaves_its_group(serve: Serve) -> None:
    """A name added to a group after its socket had gone leaves it at the next send, alone in its group too."""
    log = Log({"accept": True})
    async with Open(await serve(log.routing())):
        pass
    await Group("late").aadd(log.last["reply_channel"])
    Group("late").send({"text": "x"})
    assert await Group("late").achannels() == []


class Gone(Client):
    """A client that has left without the application knowing."""

    async def _take(self, event: dict[str, Any]) -> None:
        raise OSError("the client has left")


async def test_a_server_that_raises_on_send(serve: Serve) -> None:
    """ASGI 2.4: the client has left; the consumer does not notice, and its disconnect comes."""
    log = Log({"accept": True})
    async with Gone(await serve(log.routing())) as client:
        await until(lambda: log.seen)
        client.leave(1006)
    assert log.orders() == [("connect", 0), ("disconnect", 1)]


class Refusing(Client):
    """A client whose server refuses one of the application's events."""

    async def _take(self, event: dict[str, Any]) -> None:
        if event.get("text") == "bad":
            raise ValueError("not this one")
        await super()._take(event)


async def test_an_event_that_the_server_refuses(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """A socket that cannot be written to any more is not left open and mute; its disconnect consumer runs."""
    log = Log({"accept": True})
    async with Refusing(await serve([route("websocket.receive", echo), *log.routing()])) as client:
        await client.open()
        client.send("bad")
        await until(lambda: len(log.seen) == 2, "the disconnect")
    assert log.last["code"] == 1006
    assert "The server refused an event" in caplog.text


@pytest.mark.parametrize("end", ["leaves", "cancelled"])
async def test_nothing_is_left_of_a_closed_socket(serve: Serve, end: str) -> None:
    """The reply channel is forgotten, however the socket ended."""
    application = await serve([route(SOCKET, Log({"accept": True}).consume)])
    async with Open(application) as client:
        assert len(application._server.sockets) == 1
        if end == "leaves":
            client.leave()
        else:  # a server that shuts down
            client.task.cancel()
        await client.over()
        assert len(application._server.sockets) == 0
