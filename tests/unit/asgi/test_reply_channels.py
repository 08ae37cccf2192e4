"""How replies find their connection."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from routechan.asgi.reply_channels import ReplyChannels
from routechan.asgi.translation import socket_reply
from routechan.exceptions import ChannelFull, InvalidContent
from routechan.layers import InMemoryChannelLayer
from tests.waiting import until

from .clients import logged, text


class Taker:
    """Takes replies, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[Any] = []
        self.error = error
        self.met: list[str] = []

    def overflow(self, limit: str) -> None:
        self.met.append(limit)

    def reply(self, reply: Any) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(reply)


class Channels(ReplyChannels[Any]):
    """The reply channels of sockets, attached to a layer of the test's own."""

    def __init__(self) -> None:
        super().__init__("websocket.send", socket_reply, InMemoryChannelLayer())
        self.attach()

    def connect(self, taker: Taker, *groups: str) -> str:
        """Add ``taker`` as a connection, and to groups; its name."""
        name = self.new_name()
        self.add(name, taker)
        for group in groups:
            self.layer.sync.group_add(group, name)
        return name

    def send(self, name: str, content: dict[str, Any]) -> None:
        self.layer.sync.send(name, content)


@pytest.fixture
async def channels() -> Channels:
    return Channels()


async def test_names_of_reply_channels(channels: Channels) -> None:
    """6.1, 7.1: ``websocket.send.<process>!<connection>``, so that ``WebsocketCloseException`` knows them."""
    name = channels.new_name()
    head, mark, local = name.partition("!")
    assert head.startswith("websocket.send.")
    assert (mark, len(local)) == ("!", 10)
    assert channels.queue == head + mark
    assert channels.new_name() != name
    assert ReplyChannels("websocket.send", socket_reply, channels.layer).queue != channels.queue


async def test_a_reply_reaches_its_connection(channels: Channels) -> None:
    """DM-05: a reply reaches its connection at once; unknown names are skipped."""
    first, second = Taker(), Taker()
    name, _ = channels.connect(first), channels.connect(second)
    assert len(channels) == 2
    channels.send(name, {"text": "a"})
    assert (first.taken, second.taken) == ([(None, text("a"), None, None)], [])
    channels.remove(name)
    channels.remove(name)
    assert len(channels) == 1
    channels.send(name, {"text": "b"})
    channels.send(channels.queue + "never", {"text": "c"})
    assert len(first.taken) == 1


async def test_a_reply_from_a_thread_comes_over_the_loop(channels: Channels) -> None:
    """Replies from a thread are carried out on the event loop; bad content raises in the sender."""
    loop_thread = asyncio.get_running_loop()
    came_in: list[object] = []

    class OnLoop(Taker):
        def reply(self, reply: Any) -> None:
            came_in.append(asyncio.get_running_loop())
            super().reply(reply)

    taker = OnLoop()
    name = channels.connect(taker)

    def send() -> None:
        for number in range(5):
            channels.send(name, {"text": str(number)})
        with pytest.raises(InvalidContent):
            channels.send(name, {"custom": 1})

    await asyncio.to_thread(send)
    await until(lambda: len(taker.taken) == 5)
    assert [event["text"] for _, event, _, _ in taker.taken] == list("01234")
    assert set(came_in) == {loop_thread}


@pytest.mark.parametrize("from_thread", [False, True])
async def test_a_channel_beside_the_replies(channels: Channels, from_thread: bool) -> None:
    """Its messages, which need not be replies, arrive on the event loop, in order with the replies."""
    taker = Taker()
    name = channels.connect(taker)
    came: list[Any] = taker.taken
    beside = channels.channel(lambda content: came.append((asyncio.get_running_loop(), content)))
    assert beside.startswith(channels.queue)
    assert len(channels) == 1

    def send() -> None:
        for number in range(5):
            channels.send(name, {"text": str(number)})
            channels.send(beside, {"number": number})

    if from_thread:
        await asyncio.to_thread(send)
        await until(lambda: len(came) == 10)
    else:
        send()
    loop = asyncio.get_running_loop()
    assert came == [
        item for number in range(5) for item in ((None, text(str(number)), None, None), (loop, {"number": number}))
    ]


async def test_replies_of_a_thread_wake_the_loop_once(channels: Channels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many messages from a thread wake the event loop once."""
    taker = Taker()
    name = channels.connect(taker)
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
            channels.send(name, {"text": "a"})
            channels.send(beside, {})

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    assert (len(woken), taker.taken) == (1, [])
    await asyncio.sleep(0)
    assert len(taker.taken) == 100


async def test_a_group_reply_is_read_once_for_all(channels: Channels) -> None:
    """R9: each member gets it, and it is translated once."""
    takers = [Taker() for _ in range(3)]
    for taker in takers:
        channels.connect(taker, "group")
    channels.layer.sync.send_group("group", {"text": "a"})
    assert [taker.taken for taker in takers] == [[(None, text("a"), None, None)]] * 3
    assert len({id(taker.taken[0]) for taker in takers}) == 1


async def test_one_connections_trouble_is_not_the_others(channels: Channels, caplog: pytest.LogCaptureFixture) -> None:
    """2.2: a group send reaches each member; one that refuses costs only itself, and is logged."""
    good, bad, last = Taker(), Taker(InvalidContent("this response has started already")), Taker()
    _, name, _ = [channels.connect(taker, "group") for taker in (good, bad, last)]
    channels.layer.sync.send_group("group", {"text": "a"})
    assert (len(good.taken), len(last.taken)) == (1, 1)
    assert logged(caplog) == [f"A message to {name} is lost: this response has started already"]


async def test_a_response_without_room_for_a_part_from_elsewhere(channels: Channels) -> None:
    """It is given up: nobody hears that the part is lost, and what came next would follow a gap."""
    full = Taker(ChannelFull("http.response.x!y", 100))
    name = channels.connect(full)
    thread = threading.Thread(target=channels.deliver, args=([name], {"text": "a"}))
    thread.start()
    thread.join()
    await until(lambda: full.met)
    assert full.met == ["socket_bytes"]


async def test_a_member_that_goes_while_a_message_is_under_way(channels: Channels) -> None:
    """DM-05: it leaves its groups, also one that it was added to after it had gone."""
    staying, gone = Taker(), Taker()
    channels.connect(staying, "group")
    name = channels.connect(gone, "group")
    channels.remove(name)
    await channels.layer.group_add("group", name)
    thread = threading.Thread(target=channels.layer.sync.send_group, args=("group", {"text": "a"}))
    thread.start()
    thread.join()
    await until(lambda: staying.taken)
    assert gone.taken == []
    assert name not in await channels.layer.group_channels("group")


async def test_detached_names_take_nothing(channels: Channels) -> None:
    """After shutdown, the memberships of its sockets are gone."""
    taker = Taker()
    name = channels.connect(taker, "group")
    await channels.detach()
    channels.layer.sync.send_group("group", {"text": "a"})
    channels.send(name, {"text": "b"})
    assert taker.taken == []
    assert channels.layer.sync.group_channels("group") == []
