"""What each reply does to a socket in each state (``layers-and-protocol`` 6.9)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan.asgi import ServerOptions, translation
from routechan.asgi.socket import Socket
from routechan.asgi.waiting import Waiting
from routechan.exceptions import InvalidContent
from routechan.interfaces import CHANGED
from routechan.telemetry.repeats import Repeats

from .clients import close, data, logged, text, ticks

ACCEPT = {"type": "websocket.accept"}
DENY = {"type": "websocket.close", "code": 1000}


class Client:
    """The other side of one socket, which may be ``opened`` already. Lifetime: test."""

    def __init__(self, opened: bool = False, capacity: int = 10, subprotocol: str | None = None, **limits: Any) -> None:
        self.got: list[Any] = []
        self.ended: list[bool] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.socket = Socket(
            "websocket.send.abc!def",
            "/chat/",
            "192.0.2.1",
            self._send,
            options=ServerOptions(**{"socket_capacity": capacity, **limits}),
            waiting=Waiting(),
            repeats=Repeats(),
            denial=translation.denial({}, False),
            subprotocol=subprotocol,
            ended=self.ended.append,
            look=lambda: None,
        )
        if opened:
            self.socket.deliver({"accept": True})
            self.got.clear()

    async def _send(self, event: Any) -> None:
        await self.reads.wait()
        self.got.append(event)


@pytest.mark.parametrize(
    ("reply", "events"),
    [
        ({"accept": True}, [ACCEPT]),
        ({"accept": True, "text": "a"}, [ACCEPT, text("a")]),
        ({"accept": True, "bytes": b"a"}, [ACCEPT, data(b"a")]),
        ({"accept": True, "text": ""}, [ACCEPT]),
        ({"text": "a"}, [ACCEPT, text("a")]),
        ({"bytes": b"a"}, [ACCEPT, data(b"a")]),
        ({"close": True, "text": "a"}, [ACCEPT, text("a"), close(1000)]),
        ({"close": 4001, "bytes": b"a"}, [ACCEPT, data(b"a"), close(4001)]),
        ({"accept": True, "close": 4001}, [ACCEPT, close(4001)]),
        ({"accept": True, "close": True}, [ACCEPT, close(1000)]),
        ({"accept": True, "text": "a", "close": 4001}, [ACCEPT, text("a"), close(4001)]),
        ({"accept": False}, [DENY]),
        ({"accept": False, "text": "a"}, [DENY]),
        ({"accept": False, "bytes": b"a"}, [DENY]),
        ({"accept": False, "close": 4001}, [DENY]),
        ({"close": True}, [DENY]),
        ({"close": 4001}, [DENY]),
        ({"close": 1}, [DENY]),
        ({"close": -5}, [DENY]),
        ({"close": True, "text": ""}, [DENY]),
        ({"text": ""}, []),
        ({"bytes": b""}, []),
        ({"close": False}, []),
        ({"close": None, "text": None, "accept": None}, []),
    ],
)
async def test_replies_while_connecting(reply: dict[str, Any], events: list[Any]) -> None:
    """6.9, DM-01, items 153 to 157: the rows of state ``connecting``; a denial ignores data and code."""
    client = Client()
    client.socket.deliver(reply)
    assert client.got == events
    assert client.socket.accepted is (events[:1] == [ACCEPT])
    closes = [event for event in events if event["type"] == "websocket.close"]
    assert client.socket.closed is bool(closes)
    assert client.ended == [True for _ in closes]


@pytest.mark.parametrize(
    ("reply", "events"),
    [
        ({"text": "a"}, [text("a")]),
        ({"bytes": b"a\x00\xff"}, [data(b"a\x00\xff")]),
        ({"text": ""}, []),
        ({"bytes": b""}, []),
        ({"accept": True}, []),
        ({"accept": False}, []),
        ({"accept": True, "text": "a"}, [text("a")]),
        ({"accept": False, "text": "a"}, [text("a")]),
        ({"close": True}, [close(1000)]),
        ({"close": 1000}, [close(1000)]),
        ({"close": 3000}, [close(3000)]),
        ({"close": 4999}, [close(4999)]),
        ({"close": 1011}, [close(1011)]),
        ({"text": "a", "close": 4001}, [text("a"), close(4001)]),
        ({"text": "", "close": True}, [close(1000)]),
        ({"close": False, "text": "a"}, [text("a")]),
    ],
)
async def test_replies_while_open(reply: dict[str, Any], events: list[Any]) -> None:
    """6.9, DM-02, item 158: one frame, then the close; ``accept`` has no effect, empty data is not sent."""
    client = Client(opened=True)
    client.socket.deliver(reply)
    assert client.got == events
    assert client.socket.closed is bool(events and events[-1]["type"] == "websocket.close")


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2999, 5000, -5])
@pytest.mark.parametrize("opened", [False, True], ids=["connecting", "open"])
async def test_a_code_that_may_not_travel(caplog: pytest.LogCaptureFixture, code: int, opened: bool) -> None:
    """6.9: an error is logged and the socket stays open; the data beside it is sent."""
    client = Client(opened)
    client.socket.deliver({"text": "a", "close": code})
    assert client.got[-1] == text("a")
    assert not client.socket.closed
    [line] = logged(caplog)
    assert f"('/chat/') was to be closed with {code}, which may not travel in a close frame; it stays open" in line
    client.socket.deliver({"close": 4000})
    assert client.got[-1] == close(4000)


@pytest.mark.parametrize(
    "reply",
    [
        {"text": "a", "bytes": b"a"},
        {"accept": True, "text": "a", "bytes": b"a"},
        {"text": "a", "custom": 1},
        {"accept": True, "headers": []},
        {"close": "4000"},
        {"text": b"a"},
    ],
)
@pytest.mark.parametrize("opened", [False, True], ids=["connecting", "open"])
async def test_a_refused_reply_does_nothing(reply: dict[str, Any], opened: bool) -> None:
    """6.9, DM-03: the whole message is refused; nothing of it is done in any state."""
    client = Client(opened)
    with pytest.raises(InvalidContent):
        client.socket.deliver(reply)
    assert client.got == []
    assert not client.socket.closed


@pytest.mark.parametrize("last", [{"close": 4001}, {"accept": False}])
async def test_replies_after_the_close(last: dict[str, Any]) -> None:
    """6.4, DM-05: dropped, also a second close."""
    client = Client()
    client.socket.deliver(last)
    before = list(client.got)
    for reply in ({"accept": True}, {"text": "a"}, {"close": True}, {"close": 5000}):
        client.socket.deliver(reply)
    assert client.got == before
    assert client.ended == [True]


async def test_replies_to_a_lost_connection() -> None:
    """DM-05: dropped."""
    client = Client(opened=True)
    client.socket.lost()
    client.socket.deliver({"text": "a"})
    client.socket.deliver({"close": True})
    await ticks()
    assert (client.got, client.ended) == ([], [])


@pytest.mark.parametrize(("opened", "code"), [(True, 4001), (False, 1006)])
async def test_the_code_consumers_will_see(opened: bool, code: int) -> None:
    """6.11: the code of our close; a denied handshake is 1006; none while the client decides."""
    client = Client(opened)
    assert client.socket.close_code is None
    client.socket.deliver({"close": 4001})
    assert client.socket.close_code == code


@pytest.mark.parametrize("reply", [{"accept": True}, {"text": "a"}])
async def test_the_subprotocol_is_sent_with_the_accept(reply: dict[str, Any]) -> None:
    """6.8, 7.2: chosen by the interface, echoed on acceptance however it came about."""
    client = Client(subprotocol="chat")
    client.socket.deliver(reply)
    assert client.got[0] == {"type": "websocket.accept", "subprotocol": "chat"}


# A client that does not read


def slow(capacity: int, messages: int) -> Client:
    """A client that has been sent so many messages, and reads none; one is in the server's hands."""
    client = Client(opened=True, capacity=capacity)
    client.reads.clear()
    for number in range(messages):
        client.socket.deliver({"text": str(number)})
    return client


async def test_a_slow_client_is_waited_for_up_to_its_capacity() -> None:
    """Messages up to the capacity are queued, and arrive in order once the client reads."""
    client = slow(capacity=3, messages=4)
    writable = asyncio.create_task(client.socket.writable())
    await ticks()
    assert not writable.done()
    client.reads.set()
    await asyncio.wait_for(writable, 1)
    assert client.got == [text(str(number)) for number in range(4)]
    assert not client.socket.closed


async def test_a_client_that_does_not_read_is_closed_with_1013(caplog: pytest.LogCaptureFixture) -> None:
    """Its queued messages are dropped, counted, and logged in one line."""
    client = slow(capacity=3, messages=1)
    writable = asyncio.create_task(client.socket.writable())
    for number in range(1, 10):
        client.socket.deliver({"text": str(number)})
    assert client.socket.closed
    assert client.socket.close_code == 1013
    assert client.ended == [False]  # its closing handshake is not waited for
    await asyncio.wait_for(writable, 1)
    (line,) = logged(caplog)
    assert line.startswith(
        "The client of websocket.send.abc!def ('/chat/') does not read: it is closed with 1013, "
        "and 4 messages to it dropped; it met SOCKET_CAPACITY, and 1"
    )
    client.reads.set()
    await client.socket.flushed()
    assert client.got == [text("0"), close(1013)]


async def test_a_close_always_has_room() -> None:
    """6.9: the close is queued behind the messages, also if the queue is full."""
    client = slow(capacity=2, messages=3)
    client.socket.deliver({"close": 4001})
    client.reads.set()
    await client.socket.flushed()
    assert client.got == [text("0"), text("1"), text("2"), close(4001)]


async def test_what_is_kept_has_changed() -> None:
    """A process that keeps something for a socket is told so, in each state; the client gets nothing."""
    client = Client()
    for before in ([], [{"accept": True}], [{"close": True}]):
        for reply in before:
            client.socket.deliver(reply)
        await ticks()
        got, changes = [*client.got], client.socket.changes
        client.socket.deliver({CHANGED: True})
        await ticks()
        assert (client.got, client.socket.changes) == (got, changes + 1)
