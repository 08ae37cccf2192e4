"""What each reply does to a socket in each state (``layers-and-protocol`` 6.9), and how replies find their socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from routechan.asgi.sockets import ReplyChannels, Socket
from routechan.asgi.translation import socket_reply
from routechan.exceptions import InvalidContent
from routechan.layers import InMemoryChannelLayer
from tests.waiting import until

from .clients import logged, ticks

ACCEPT = {"type": "websocket.accept"}
DENY = {"type": "websocket.close", "code": 1000}


def text(value: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": value}


def data(value: bytes) -> dict[str, Any]:
    return {"type": "websocket.send", "bytes": value}


def close(code: int) -> dict[str, Any]:
    return {"type": "websocket.close", "code": code}


class Client:
    """The other side of one socket. Lifetime: test."""

    def __init__(self, capacity: int = 10, subprotocol: str | None = None) -> None:
        self.got: list[Any] = []
        self.ended: list[bool] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.socket = Socket(
            "websocket.send.abc!def",
            "/chat/",
            self._send,
            capacity=capacity,
            subprotocol=subprotocol,
            ended=self.ended.append,
        )

    async def _send(self, event: Any) -> None:
        await self.reads.wait()
        self.got.append(event)


@pytest.fixture
async def client() -> Client:
    """Connecting."""
    return Client()


@pytest.fixture
async def opened(client: Client) -> Client:
    """Open; what was sent to open it is forgotten."""
    client.socket.deliver({"accept": True})
    client.got.clear()
    return client


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
        ({}, []),
        ({"text": ""}, []),
        ({"bytes": b""}, []),
        ({"close": False}, []),
        ({"close": None, "text": None, "accept": None}, []),
    ],
)
async def test_replies_while_connecting(client: Client, reply: dict[str, Any], events: list[Any]) -> None:
    """6.9, DM-01, items 153 to 157: the rows of state ``connecting``; a denial ignores data and code."""
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
        ({}, []),
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
async def test_replies_while_open(opened: Client, reply: dict[str, Any], events: list[Any]) -> None:
    """6.9, DM-02, item 158: one frame, then the close; ``accept`` has no effect, empty data is not sent."""
    opened.socket.deliver(reply)
    assert opened.got == events
    assert opened.socket.closed is bool(events and events[-1]["type"] == "websocket.close")


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2999, 5000, -5])
@pytest.mark.parametrize("state", ["connecting", "open"])
async def test_a_code_that_may_not_travel(
    client: Client, caplog: pytest.LogCaptureFixture, code: int, state: str
) -> None:
    """6.9: an error is logged and the socket stays open; the data beside it is sent."""
    if state == "open":
        client.socket.deliver({"accept": True})
    client.socket.deliver({"text": "a", "close": code})
    assert client.got == [ACCEPT, text("a")]
    assert not client.socket.closed
    [line] = logged(caplog)
    assert f"('/chat/') was to be closed with {code}, which may not travel in a close frame; it stays open" in line
    client.socket.deliver({"close": 4000})
    assert client.got[2:] == [close(4000)]


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
@pytest.mark.parametrize("state", ["connecting", "open"])
async def test_a_refused_reply_does_nothing(client: Client, reply: dict[str, Any], state: str) -> None:
    """6.9, DM-03: the whole message is refused; nothing of it is done in any state."""
    if state == "open":
        client.socket.deliver({"accept": True})
    before = list(client.got)
    with pytest.raises(InvalidContent):
        client.socket.deliver(reply)
    assert client.got == before
    assert not client.socket.closed


@pytest.mark.parametrize("last", [{"close": 4001}, {"accept": False}])
async def test_replies_after_the_close(client: Client, last: dict[str, Any]) -> None:
    """6.4, DM-05: dropped, also a second close."""
    client.socket.deliver(last)
    before = list(client.got)
    for reply in ({"accept": True}, {"text": "a"}, {"close": True}, {"close": 5000}):
        client.socket.deliver(reply)
    assert client.got == before
    assert client.ended == [True]


async def test_replies_to_a_lost_connection(opened: Client) -> None:
    """DM-05: dropped."""
    opened.socket.lost()
    opened.socket.deliver({"text": "a"})
    opened.socket.deliver({"close": True})
    await ticks()
    assert opened.got == []
    assert opened.ended == []


async def test_the_code_consumers_will_see() -> None:
    """6.11: the code of our close; a denied handshake is 1006; none while the client decides."""
    client = Client()
    assert client.socket.close_code is None
    client.socket.deliver({"accept": True})
    assert client.socket.close_code is None
    client.socket.deliver({"close": 4001})
    assert client.socket.close_code == 4001
    denied = Client()
    denied.socket.deliver({"close": 4001})
    assert denied.socket.close_code == 1006


async def test_the_subprotocol_is_sent_with_the_accept() -> None:
    """6.8, 7.2: chosen by the interface, echoed on acceptance however it came about."""
    for reply in ({"accept": True}, {"text": "a"}):
        client = Client(subprotocol="chat")
        client.socket.deliver(reply)
        assert client.got[0] == {"type": "websocket.accept", "subprotocol": "chat"}


# A client that does not read


async def test_a_slow_client_is_waited_for_up_to_its_capacity() -> None:
    """design section 4: bounded; what fits arrives in order once the client reads."""
    client = Client(capacity=3)
    client.socket.deliver({"accept": True})
    client.reads.clear()
    for number in range(4):  # one is in the server's hands
        client.socket.deliver({"text": str(number)})
    writable = asyncio.create_task(client.socket.writable())
    await ticks()
    assert not writable.done()
    client.reads.set()
    await asyncio.wait_for(writable, 1)
    assert client.got == [ACCEPT, *[text(str(number)) for number in range(4)]]
    assert not client.socket.closed


async def test_a_client_that_does_not_read_is_closed_with_1013(caplog: pytest.LogCaptureFixture) -> None:
    """design section 4: what waits is dropped, once and for all, counted and logged in one line."""
    client = Client(capacity=3)
    client.socket.deliver({"accept": True})
    client.reads.clear()
    writable = asyncio.create_task(client.socket.writable())
    for number in range(10):
        client.socket.deliver({"text": str(number)})
    assert client.socket.closed
    assert client.socket.close_code == 1013
    assert client.ended == [False]  # its answer is not worth waiting for
    await asyncio.wait_for(writable, 1)
    assert logged(caplog) == [
        "The client of websocket.send.abc!def ('/chat/') does not read: 4 messages to it are dropped "
        "and it is closed with 1013"
    ]
    client.reads.set()
    await client.socket.flushed()
    assert client.got == [ACCEPT, text("0"), close(1013)]


async def test_a_close_always_has_room() -> None:
    """6.9: the close goes behind what waits, also where that is as much as there may be."""
    client = Client(capacity=2)
    client.socket.deliver({"accept": True})
    client.reads.clear()
    for value in ("a", "b", "c"):
        client.socket.deliver({"text": value})
    client.socket.deliver({"close": 4001})
    client.reads.set()
    await client.socket.flushed()
    assert client.got == [ACCEPT, text("a"), text("b"), text("c"), close(4001)]


# Names


class Taker:
    """Takes replies, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[Any] = []
        self.error = error

    def reply(self, reply: Any) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(reply)


@pytest.fixture
async def channels() -> ReplyChannels[Any]:
    """Attached to ``channels.layer`` of the test's own."""
    return ReplyChannels("websocket.send", socket_reply, InMemoryChannelLayer())


async def test_names_of_reply_channels(channels: ReplyChannels[Any]) -> None:
    """6.1, 7.1: ``websocket.send.<process>!<connection>``, so that ``WebsocketCloseException`` knows them."""
    name = channels.new_name()
    head, mark, local = name.partition("!")
    assert head.startswith("websocket.send.")
    assert (mark, len(local)) == ("!", 10)
    assert channels.queue == head + mark
    assert channels.new_name() != name
    assert ReplyChannels("websocket.send", socket_reply, channels.layer).queue != channels.queue


async def test_a_reply_reaches_its_connection(channels: ReplyChannels[Any]) -> None:
    """DM-05: that one, at once; a name that is gone or never was is passed over."""
    layer = channels.layer
    channels.attach()
    first, second = Taker(), Taker()
    names = [channels.new_name(), channels.new_name()]
    channels.add(names[0], first)
    channels.add(names[1], second)
    assert len(channels) == 2
    layer.sync.send(names[0], {"text": "a"})
    assert (first.taken, second.taken) == ([(None, text("a"), None)], [])
    channels.remove(names[0])
    channels.remove(names[0])
    assert len(channels) == 1
    layer.sync.send(names[0], {"text": "b"})
    layer.sync.send(channels.queue + "never", {"text": "c"})
    assert len(first.taken) == 1


async def test_a_reply_from_a_thread_comes_over_the_loop(channels: ReplyChannels[Any]) -> None:
    """design section 3: sockets belong to their loop; the sender learns at once what is wrong with the content."""
    layer = channels.layer
    channels.attach()
    loop_thread = asyncio.get_running_loop()
    came_in: list[object] = []

    class OnLoop(Taker):
        def reply(self, reply: Any) -> None:
            came_in.append(asyncio.get_running_loop())
            super().reply(reply)

    taker, name = OnLoop(), channels.new_name()
    channels.add(name, taker)

    def send() -> None:
        for number in range(5):
            layer.sync.send(name, {"text": str(number)})
        with pytest.raises(InvalidContent):
            layer.sync.send(name, {"custom": 1})

    await asyncio.to_thread(send)
    await until(lambda: len(taker.taken) == 5)
    assert [event["text"] for _, event, _ in taker.taken] == list("01234")
    assert set(came_in) == {loop_thread}


@pytest.mark.parametrize("from_thread", [False, True])
async def test_a_channel_beside_the_replies(channels: ReplyChannels[Any], from_thread: bool) -> None:
    """Design section 3: what is sent to it, and need be no reply, comes on the loop and in order with the replies."""
    layer = channels.layer
    channels.attach()
    taker, name = Taker(), channels.new_name()
    channels.add(name, taker)
    came: list[Any] = taker.taken
    beside = channels.channel(lambda content: came.append((asyncio.get_running_loop(), content)))
    assert beside.startswith(channels.queue)
    assert len(channels) == 1

    def send() -> None:
        for number in range(5):
            layer.sync.send(name, {"text": str(number)})
            layer.sync.send(beside, {"number": number})

    if from_thread:
        await asyncio.to_thread(send)
        await until(lambda: len(came) == 10)
    else:
        send()
    loop = asyncio.get_running_loop()
    assert came == [
        item for number in range(5) for item in ((None, text(str(number)), None), (loop, {"number": number}))
    ]


async def test_replies_of_a_thread_wake_the_loop_once(
    channels: ReplyChannels[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer's reader hands over many at a time: for each of them alone the loop is not woken."""
    channels.attach()
    taker, name = Taker(), channels.new_name()
    channels.add(name, taker)
    beside = channels.channel(taker.taken.append)
    loop: Any = asyncio.get_running_loop()
    woken: list[Any] = []
    call_soon_threadsafe = loop.call_soon_threadsafe

    def wake(*arguments: Any, **options: Any) -> Any:
        woken.append(arguments)
        return call_soon_threadsafe(*arguments, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", wake)

    def send() -> None:
        for _ in range(50):
            channels.layer.sync.send(name, {"text": "a"})
            channels.layer.sync.send(beside, {})

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    assert (len(woken), taker.taken) == (1, [])
    await asyncio.sleep(0)
    assert len(taker.taken) == 100


async def test_a_group_reply_is_read_once_for_all(channels: ReplyChannels[Any]) -> None:
    """R9: each member gets it, and it is translated once."""
    layer = channels.layer
    channels.attach()
    takers = [Taker() for _ in range(3)]
    for taker in takers:
        name = channels.new_name()
        channels.add(name, taker)
        layer.sync.group_add("group", name)
    layer.sync.send_group("group", {"text": "a"})
    assert [taker.taken for taker in takers] == [[(None, text("a"), None)]] * 3
    assert len({id(taker.taken[0]) for taker in takers}) == 1


async def test_one_connections_trouble_is_not_the_others(channels: ReplyChannels[Any]) -> None:
    """2.2: a group send reaches each member; one that refuses costs only itself, and is logged."""
    layer = channels.layer
    channels.attach()
    good, bad, last = Taker(), Taker(InvalidContent("this response has started already")), Taker()
    for taker in (good, bad, last):
        name = channels.new_name()
        channels.add(name, taker)
        layer.sync.group_add("group", name)
    with contextlib.suppress(InvalidContent):  # the sender may be told
        layer.sync.send_group("group", {"text": "a"})
    assert (len(good.taken), len(last.taken)) == (1, 1)


async def test_detached_names_take_nothing(channels: ReplyChannels[Any]) -> None:
    """design section 5: after shutdown, the memberships of its sockets are gone."""
    layer = channels.layer
    channels.attach()
    taker, name = Taker(), channels.new_name()
    channels.add(name, taker)
    layer.sync.group_add("group", name)
    await channels.detach()
    layer.sync.send_group("group", {"text": "a"})
    layer.sync.send(name, {"text": "b"})
    assert taker.taken == []
    assert layer.sync.group_channels("group") == []
