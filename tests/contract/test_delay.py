"""A send may name a delay: what it does, it does then and not before, on both faces."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from routechan.concurrency import maybe_await
from routechan.exceptions import InvalidContent, InvalidName
from routechan.layers import BaseChannelLayer, SyncChannelLayer
from tests.waiting import stretched

from .conftest import Backend
from .reading import SOON, areceive, contents
from .test_local_delivery import Taker, queue

#: Seconds. Long enough that a test which looks at once looks before it most times, short enough to wait for.
DELAY = 0.2

#: How a message is sent to a channel, through either face: ``await send(layer, channel, content, delay)``.
Send = Callable[[BaseChannelLayer, str, dict[str, Any], Any], Awaitable[None]]


async def _send(layer: BaseChannelLayer, channel: str, content: dict[str, Any], delay: Any) -> None:
    await layer.send(channel, content, delay)


async def _post(layer: BaseChannelLayer, channel: str, content: dict[str, Any], delay: Any) -> None:
    await maybe_await(layer.post(channel, content, delay))


async def _sync_send(layer: BaseChannelLayer, channel: str, content: dict[str, Any], delay: Any) -> None:
    layer.sync.send(channel, content, delay=delay)


async def _group_send(layer: BaseChannelLayer, group: str, content: dict[str, Any], delay: Any) -> None:
    await layer.group_send(group, content, delay)


async def _post_group(layer: BaseChannelLayer, group: str, content: dict[str, Any], delay: Any) -> None:
    await maybe_await(layer.post_group(group, content, delay))


async def _send_group(layer: BaseChannelLayer, group: str, content: dict[str, Any], delay: Any) -> None:
    layer.sync.send_group(group, content, delay=delay)


every_send = pytest.mark.parametrize("send", [_send, _post, _sync_send])
every_group_send = pytest.mark.parametrize("send", [_group_send, _post_group, _send_group])


def next_of(face: SyncChannelLayer, *channels: str) -> tuple[str | None, dict[str, Any] | None]:
    """The next message, waited for on the 1.x face."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        pair = face.receive(list(channels), block=True)
        if pair != (None, None):
            return pair
    raise AssertionError(f"nothing came to {channels}")


@every_send
async def test_a_message_comes_after_its_delay(layer: BaseChannelLayer, send: Send) -> None:
    """the contract of ``send``: not before, and soon after."""
    await layer.channel_statistics("test-channel")  # connections are made: what follows takes no time
    began = time.monotonic()
    await send(layer, "test-channel", {"a": 1}, DELAY)
    early = await layer.channel_statistics("test-channel")
    assert early["messages_pending"] == 0 or time.monotonic() - began >= DELAY
    assert await areceive(layer, "test-channel") == {"a": 1}
    assert DELAY - 0.03 <= time.monotonic() - began < DELAY + stretched(2)


@every_send
async def test_a_channel_of_this_process_gets_it_too(layer: BaseChannelLayer, send: Send) -> None:
    """the contract of ``send``: a delay is for every kind of channel."""
    name = await layer.new_channel()
    await layer.channel_statistics(name)
    began = time.monotonic()
    await send(layer, name, {"a": 1}, DELAY)
    early = await layer.channel_statistics(name)
    assert early["messages_pending"] == 0 or time.monotonic() - began >= DELAY
    assert await areceive(layer, name) == {"a": 1}


@every_send
async def test_an_attached_queue_gets_it_too(layer: BaseChannelLayer, send: Send) -> None:
    """the contract of ``attach``: delivered when it is due, in any thread."""
    taker = Taker()
    layer.attach(queue(layer), taker)
    began = time.monotonic()
    await send(layer, queue(layer) + "a", {"a": 1}, DELAY)
    assert taker.taken == [] or time.monotonic() - began >= DELAY
    await taker.reaches(1)
    assert taker.taken == [([queue(layer) + "a"], {"a": 1})]


def test_a_blocking_receive_sees_it(face: SyncChannelLayer) -> None:
    """section 2.3: on the 1.x face, for a normal and a process-specific channel."""
    began = time.monotonic()
    face.send("process!a", {"a": 1}, delay=DELAY)
    early = face.receive(["process!"])
    assert early == (None, None) or time.monotonic() - began >= DELAY
    found = next_of(face, "plain", "process!") if early == (None, None) else early
    assert found == ("process!a", {"a": 1})


def test_a_process_that_only_looks_now_and_then_sees_it(face: SyncChannelLayer) -> None:
    """the contract of ``send``: the sender need neither serve nor wait for it to come."""
    face.send("plain", {"a": 1}, delay=0.05)
    deadline = time.monotonic() + 3
    while not (found := contents(face, "plain")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == [{"a": 1}]


async def test_several_come_in_the_order_of_their_times(backend: Backend) -> None:
    """the contract of ``send``: what is due first comes first, whenever it was sent; undelayed ones at once."""
    layer = backend.make()
    await layer.channel_statistics("test-channel")  # it knows the time now
    backend.hold()
    for number, delay in ((3, 0.6), (1, 0.2), (2, 0.4), (0, 0.0)):
        await layer.send("test-channel", {"number": number}, delay)
    backend.go_on()
    assert [(await areceive(layer, "test-channel"))["number"] for _ in range(4)] == [0, 1, 2, 3]


async def test_equal_delays_keep_the_order_of_the_sends(layer: BaseChannelLayer) -> None:
    """R3: due one after the other, and they come so."""
    for number in range(20):
        await layer.send("test-channel", {"number": number}, 0.1)
    assert [(await areceive(layer, "test-channel"))["number"] for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("delay", [0, 0.0])
@every_send
async def test_no_delay_is_now(layer: BaseChannelLayer, send: Send, delay: float) -> None:
    """the contract of ``send``: 0, the default, in the order of the calls."""
    await send(layer, "test-channel", {"number": 0}, delay)
    await layer.send("test-channel", {"number": 1})
    assert (await layer.channel_statistics("test-channel"))["messages_pending"] == 2
    assert [(await areceive(layer, "test-channel"))["number"] for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("send", [_send, _post, _sync_send, _group_send, _post_group, _send_group])
async def test_a_delay_is_a_number_of_seconds(layer: BaseChannelLayer, send: Send) -> None:
    """style, habit 13: bad arguments raise, whichever they are, and nothing is sent."""
    await layer.group_add("name", "name")
    for delay in (-1, -0.001, float("nan"), float("inf"), True, False, "1", "", [1]):
        told = re.escape(f"delay is a number of seconds of at least 0, such as 2.5, not {delay!r}")
        with pytest.raises(ValueError, match=told):
            await send(layer, "name", {}, delay)
    assert (await layer.channel_statistics("name"))["messages_pending"] == 0


async def test_a_delay_too_long_to_be_kept_disturbs_nothing(layer: BaseChannelLayer) -> None:
    """style, habit 8: refused or kept, a delay of ten thousand years holds up no other."""
    with pytest.raises(ValueError, match="delay is at most"):
        await layer.send("test-channel", {"n": "far"}, 1e12)
    await layer.send("test-channel", {"n": "near"}, 0.05)
    assert await areceive(layer, "test-channel") == {"n": "near"}


@pytest.mark.parametrize("send", [_send, _sync_send])
async def test_what_cannot_travel_is_refused_at_once(layer: BaseChannelLayer, send: Send) -> None:
    """R12: when it is sent, not when it is due; likewise a bad name."""
    with pytest.raises(InvalidContent, match=r"message\['a'\] is a set"):
        await send(layer, "test-channel", {"a": {1}}, DELAY)
    with pytest.raises(InvalidName):
        await send(layer, "test channel", {}, DELAY)


@pytest.mark.parametrize("send", [_group_send, _send_group])
async def test_what_cannot_travel_to_a_group_is_refused_at_once(layer: BaseChannelLayer, send: Send) -> None:
    """R12: for a group too, with and without members."""
    with pytest.raises(InvalidContent, match=r"message\['a'\] is a set"):
        await send(layer, "test-group", {"a": {1}}, DELAY)
    with pytest.raises(InvalidName):
        await send(layer, "test group", {}, DELAY)


@every_send
async def test_the_content_is_that_of_the_send(layer: BaseChannelLayer, send: Send) -> None:
    """item 30, R13: changing it while it waits changes nothing."""
    message: dict[str, Any] = {"value": [1]}
    await send(layer, "test-channel", message, 0.1)
    message["value"].append(2)
    assert await areceive(layer, "test-channel") == {"value": [1]}


@every_group_send
async def test_the_content_for_a_group_is_that_of_the_send(layer: BaseChannelLayer, send: Send) -> None:
    """item 30, R13: for plain members and for those attached here."""
    taker = Taker()
    layer.attach(queue(layer), taker)
    await layer.group_add("test-group", "plain")
    await layer.group_add("test-group", queue(layer) + "a")
    message: dict[str, Any] = {"value": [1]}
    await send(layer, "test-group", message, 0.1)
    message["value"].append(2)
    assert await areceive(layer, "plain") == {"value": [1]}
    await taker.reaches(1)
    assert taker.taken[0][1] == {"value": [1]}


@every_group_send
async def test_a_group_is_sent_to_after_the_delay(layer: BaseChannelLayer, send: Send) -> None:
    """the contract of ``group_send``: to every kind of member, once each."""
    name, taker = await layer.new_channel(), Taker()
    layer.attach(queue(layer), taker)
    members = (name, queue(layer) + "a", "plain", "other.process!a", "single?a")
    for member in members:
        await layer.group_add("test-group", member)
    began = time.monotonic()
    await send(layer, "test-group", {"a": 1}, DELAY)
    assert await areceive(layer, name) == {"a": 1}
    assert time.monotonic() - began >= DELAY - 0.01
    await taker.reaches(1)
    for member in ("plain", "single?a"):
        assert await areceive(layer, member) == {"a": 1}
    received = await asyncio.to_thread(next_of, layer.sync, "other.process!")
    assert received == ("other.process!a", {"a": 1})
    for member in members:
        assert (await layer.channel_statistics(member))["messages_pending"] == 0
    assert len(taker.taken) == 1


@every_group_send
async def test_who_is_a_member_then_gets_it(backend: Backend, send: Send) -> None:
    """the contract of ``group_send``: members of when it is due, not of when it was sent."""
    layer = backend.make()
    here = [await layer.new_channel() for _ in range(2)]
    await layer.channel_statistics(here[0])
    for member in ("leaves", here[0]):
        await layer.group_add("test-group", member)
    backend.hold()
    await send(layer, "test-group", {"a": 1}, DELAY)
    for member in ("leaves", here[0]):
        await layer.group_discard("test-group", member)
    for member in ("joins", here[1]):
        await layer.group_add("test-group", member)
    backend.go_on()
    for member in ("joins", here[1]):
        assert await areceive(layer, member) == {"a": 1}
    for member in ("leaves", here[0]):
        assert (await layer.channel_statistics(member))["messages_pending"] == 0


async def test_a_delayed_message_to_a_full_channel_is_tried_again(backend: Backend) -> None:
    """the contract of ``send``: each second, until there is room; the sender is not there to be told."""
    layer = backend.make(capacity=1)
    await layer.send("test-channel", {"n": "first"})
    await layer.send("test-channel", {"n": "later"}, 0.05)
    deadline = time.monotonic() + SOON
    while not (await layer.channel_statistics("test-channel"))["channel_full_count"]:
        # What drives it where nobody waits for a message of this process.
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(layer.receive("other"), 0.02)
        assert time.monotonic() < deadline, "it was not tried"
    assert await areceive(layer, "test-channel") == {"n": "first"}
    assert await areceive(layer, "test-channel") == {"n": "later"}


async def test_a_delayed_group_message_passes_over_full_members(backend: Backend) -> None:
    """GR-06: the one that is full misses it for good, as without a delay."""
    layer = backend.make(capacity=1)
    await layer.group_add("test-group", "full")
    await layer.group_add("test-group", "free")
    await layer.send("full", {"n": "first"})
    await layer.group_send("test-group", {"n": "later"}, 0.05)
    assert await areceive(layer, "free") == {"n": "later"}
    deadline = time.monotonic() + SOON
    while (await layer.channel_statistics("full"))["dropped_count"] != 1:
        assert time.monotonic() < deadline, "it was not dropped"
    assert await areceive(layer, "full") == {"n": "first"}
    assert (await layer.channel_statistics("full"))["messages_pending"] == 0


async def test_expiry_counts_from_then(backend: Backend) -> None:
    """R3: a delay longer than ``expiry`` is no loss; the message lives its time from when it was delivered."""
    layer = backend.make(expiry=0.5)
    receiving = asyncio.create_task(areceive(layer, "test-channel"))
    await layer.send("test-channel", {"a": 1}, 0.7)
    assert await receiving == {"a": 1}


async def test_a_flush_removes_what_was_to_come(layer: BaseChannelLayer) -> None:
    """item 22: all messages, those not delivered yet too."""
    await layer.send("test-channel", {"n": "before"}, 0.05)
    await layer.group_add("test-group", "test-channel")
    await layer.group_send("test-group", {"n": "before"}, 0.05)
    await layer.flush()
    await layer.send("test-channel", {"n": "after"}, 0.2)
    assert await areceive(layer, "test-channel") == {"n": "after"}


async def test_a_delayed_message_is_counted_when_it_is_delivered(layer: BaseChannelLayer) -> None:
    """section 2.8: once, and not before."""
    await layer.send("test-channel", {}, 0.1)
    assert (await layer.channel_statistics("test-channel"))["messages_count"] == 0
    await areceive(layer, "test-channel")
    assert (await layer.channel_statistics("test-channel"))["messages_count"] == 1
    assert (await layer.global_statistics())["messages_count"] == 1
