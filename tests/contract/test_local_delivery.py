"""A process may take what is sent to its own queue straight from the sender: ``attach`` and ``detach``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from routechan.concurrency import maybe_await
from routechan.exceptions import InvalidContent
from routechan.layers import BaseChannelLayer

from .conftest import Backend
from .reading import SOON, aeverything, areceive, contents, everything


def queue(layer: BaseChannelLayer) -> str:
    """A queue of this process."""
    return f"websocket.send.abc.{layer.process}!"


class Taker:
    """Takes what is delivered. Lifetime: test."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], dict[str, Any]]] = []

    def __call__(self, channels: Sequence[str], content: dict[str, Any]) -> None:
        self.taken.append((list(channels), content))

    async def reaches(self, count: int) -> None:
        """Wait until so many deliveries were made."""

        async def poll() -> None:
            while len(self.taken) < count:
                await asyncio.sleep(0.001)

        await asyncio.wait_for(poll(), SOON)


@pytest.fixture
async def taker(layer: BaseChannelLayer) -> Taker:
    """Attached to ``queue``."""
    made = Taker()
    layer.attach(queue(layer), made)
    return made


async def test_sends_of_both_faces_are_delivered_in_order(layer: BaseChannelLayer, taker: Taker) -> None:
    """design section 5: a channel of one's own process never travels."""
    layer.sync.send(queue(layer) + "a", {"number": 0})
    await layer.send(queue(layer) + "b", {"number": 1})
    await maybe_await(layer.post(queue(layer) + "a", {"number": 2}))
    await taker.reaches(3)
    assert taker.taken == [
        ([queue(layer) + "a"], {"number": 0}),
        ([queue(layer) + "b"], {"number": 1}),
        ([queue(layer) + "a"], {"number": 2}),
    ]


async def test_a_thread_may_send_too(layer: BaseChannelLayer, taker: Taker) -> None:
    """the contract of ``attach``: ``deliver`` is called in any thread."""
    await asyncio.to_thread(layer.sync.send, queue(layer) + "a", {"from": "a thread"})
    await taker.reaches(1)
    assert taker.taken == [([queue(layer) + "a"], {"from": "a thread"})]


async def test_a_group_is_delivered_once_for_all_its_members_here(layer: BaseChannelLayer, taker: Taker) -> None:
    """R9: one delivery for the queue with all names; plain members get theirs as ever."""
    for member in (queue(layer) + "a", "plain", queue(layer) + "b", "other.process!c"):
        await layer.group_add("tgroup", member)
    await layer.group_send("tgroup", {"a": 1})
    layer.sync.send_group("tgroup", {"a": 2})
    await taker.reaches(2)
    assert [(sorted(names), content) for names, content in taker.taken] == [
        ([queue(layer) + "a", queue(layer) + "b"], {"a": 1}),
        ([queue(layer) + "a", queue(layer) + "b"], {"a": 2}),
    ]
    assert contents(layer.sync, "plain") == [{"a": 1}, {"a": 2}]
    assert everything(layer.sync, "other.process!") == [("other.process!c", {"a": 1}), ("other.process!c", {"a": 2})]


async def test_what_is_delivered_is_not_stored(backend: Backend) -> None:
    """design section 4: each socket's own outbox has its own bound, so capacity does not apply here."""
    layer, taker = backend.make(capacity=2), Taker()
    layer.attach(queue(layer), taker)
    for number in range(5):
        layer.sync.send(queue(layer) + "a", {"number": number})
    await taker.reaches(5)
    assert layer.sync.channel_statistics(queue(layer) + "a")["messages_pending"] == 0


async def test_memberships_of_an_attached_queue_do_not_expire(backend: Backend) -> None:
    """design section 5: a live socket is never evicted by ``group_expiry``; plain members are."""
    layer, taker = backend.make(group_expiry=6), Taker()
    layer.attach(queue(layer), taker)
    await layer.group_add("tgroup", queue(layer) + "a")
    await layer.group_add("tgroup", "plain")
    backend.elapse(8)
    assert await layer.group_channels("tgroup") == [queue(layer) + "a"]
    await layer.group_send("tgroup", {"a": 1})
    await taker.reaches(1)
    assert taker.taken == [([queue(layer) + "a"], {"a": 1})]


async def test_detach_ends_the_memberships_of_its_queue(layer: BaseChannelLayer, taker: Taker) -> None:
    """the contract of ``detach``: of that queue, in every group, and of no other."""
    await layer.group_add("first", queue(layer) + "a")
    await layer.group_add("second", queue(layer) + "b")
    await layer.group_add("second", "plain")
    layer.detach(queue(layer))
    assert await layer.group_channels("first") == []
    assert await layer.group_channels("second") == ["plain"]
    await layer.group_send("first", {"a": 1})
    assert taker.taken == []


async def test_after_detach_messages_are_stored(layer: BaseChannelLayer, taker: Taker) -> None:
    """the contract of ``detach``: nothing is delivered any more, from either face."""
    layer.detach(queue(layer))
    layer.sync.send(queue(layer) + "a", {"number": 0})
    await layer.send(queue(layer) + "a", {"number": 1})
    assert taker.taken == []
    assert [await areceive(layer, queue(layer) + "a") for _ in range(2)] == [{"number": 0}, {"number": 1}]


async def test_forget_ends_the_memberships_of_one_channel(layer: BaseChannelLayer, taker: Taker) -> None:
    """the contract of ``forget``: in every group, and of no other channel; silent when there are none."""
    for group in ("first", "second"):
        await layer.group_add(group, queue(layer) + "a")
        await layer.group_add(group, queue(layer) + "b")
    layer.forget(queue(layer) + "a")
    layer.forget(queue(layer) + "a")
    layer.forget(queue(layer) + "never")
    assert await layer.group_channels("first") == [queue(layer) + "b"]
    assert await layer.group_channels("second") == [queue(layer) + "b"]


async def test_detaching_what_is_not_attached_is_silent(layer: BaseChannelLayer) -> None:
    """the contract of ``detach``: stopping twice is no error."""
    layer.detach(queue(layer))
    layer.detach(queue(layer))


async def test_other_queues_are_not_touched(layer: BaseChannelLayer, taker: Taker) -> None:
    """the contract of ``attach``: the queue is the name up to ``!``, and no prefix of it."""
    layer.sync.send(f"websocket.send.abcd.{layer.process}!a", {})
    layer.sync.send("websocket.send.abc", {})
    assert taker.taken == []
    assert await aeverything(layer, "websocket.send.abc") == [{}]


@pytest.mark.parametrize("attached_first", [True, False])
async def test_a_refusal_costs_only_the_members_that_refuse(layer: BaseChannelLayer, attached_first: bool) -> None:
    """section 6.9: content a socket cannot take is an error there; other members of the group get it."""

    def refuse(channels: Sequence[str], content: dict[str, Any]) -> None:
        raise InvalidContent("not for a socket")

    layer.attach(queue(layer), refuse)
    members = [queue(layer) + "a", "plain"]
    for member in members if attached_first else reversed(members):
        await layer.group_add("tgroup", member)
    with pytest.raises(InvalidContent, match="not for a socket"):
        layer.sync.send_group("tgroup", {"custom": 1})
    assert contents(layer.sync, "plain") == [{"custom": 1}]
