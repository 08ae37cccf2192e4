"""A long backlog of one channel leaves places to the others, and where places are scarce channels take turns."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator

import pytest

from routechan.encoding import Content, Serializer, Undecodable
from routechan.layers import BaseChannelLayer
from routechan.layers.base import Delivery, Subscription
from tests.waiting import until

from .conftest import Backend, ClusterBackend, ShardsBackend


class Places:
    """A subscription whose messages hold their places until they are let go. Lifetime: test."""

    def __init__(self, layer: BaseChannelLayer, channels: list[str], prefetch: int) -> None:
        self.held: deque[Delivery] = deque()
        self.came: list[str] = []
        self.subscription: Subscription = layer.subscribe(channels, self._take, prefetch)

    def _take(self, delivery: Delivery) -> None:
        self.held.append(delivery)
        self.came.append(delivery.channel.partition("!")[0])

    async def reach(self, count: int) -> Counter[str]:
        """What has come when there are so many in all, and no more come."""
        await until(lambda: len(self.came) >= count, f"{count} came, not {self.came}")
        await asyncio.sleep(0.1)
        assert len(self.came) == count
        return Counter(self.came)


@pytest.fixture
def layer(backend: Backend) -> BaseChannelLayer:
    return backend.make(capacity=1000)


@pytest.fixture
def made() -> Iterator[list[Places]]:
    found: list[Places] = []
    yield found
    for places in found:
        places.subscription.end()


async def fill(layer: BaseChannelLayer, channel: str, count: int) -> None:
    await asyncio.gather(*(layer.send(channel, {"n": number}) for number in range(count)))


@pytest.mark.parametrize("before", [True, False], ids=["backlog first", "subscription first"])
async def test_a_backlog_leaves_a_place_to_others(layer: BaseChannelLayer, made: list[Places], before: bool) -> None:
    """section 2.3: whatever of it is running, another channel's message need not wait for its end."""
    if before:
        await fill(layer, "slow", 40)
    made.append(places := Places(layer, ["slow", "quick", "process!"], 4))
    if not before:
        await fill(layer, "slow", 40)
    assert await places.reach(3) == {"slow": 3}
    for number, channel in enumerate(("quick", "process!a", "quick"), 4):
        await layer.send(channel, {})
        await places.reach(number)
        assert places.came[-1] == channel.partition("!")[0]
        places.held.pop().done()
    places.held.popleft().done()
    assert await places.reach(7) == {"slow": 4, "quick": 2, "process": 1}


async def test_a_channel_by_itself_has_all_places(layer: BaseChannelLayer, made: list[Places]) -> None:
    """section 2.3: there is nobody to leave one to."""
    await fill(layer, "slow", 10)
    made.append(places := Places(layer, ["slow"], 4))
    assert await places.reach(4) == {"slow": 4}


@pytest.mark.parametrize("prefetch", [1, 2])
async def test_of_few_places_none_is_kept_free(
    backend: Backend, layer: BaseChannelLayer, made: list[Places], prefetch: int
) -> None:
    """section 2.3: but the next that becomes free goes to the channel that had none, as soon as its server says so."""
    await fill(layer, "slow", 40)
    made.append(places := Places(layer, ["slow", "quick"], prefetch))
    assert await places.reach(prefetch) == {"slow": prefetch}
    await fill(layer, "quick", 3)
    places.held.popleft().done()
    if isinstance(backend, (ClusterBackend, ShardsBackend)):  # two servers, of which none is waited for
        while "quick" not in places.came:
            await until(lambda: places.held, "the next came")
            places.held.popleft().done()
        assert len(places.came) < 40
    else:
        assert await places.reach(prefetch + 1) == {"slow": prefetch, "quick": 1}


@pytest.mark.parametrize("prefetch", [1, 2, 5])
async def test_channels_take_turns(
    backend: Backend, layer: BaseChannelLayer, made: list[Places], prefetch: int
) -> None:
    """section 2.3: three backlogs, of which each gets its share at any time."""
    for channel in ("a", "b", "c"):
        await fill(layer, channel, 40)
    made.append(places := Places(layer, ["a", "b", "c"], prefetch))
    # Of several servers the quickest comes first: there, nobody waits for the end of the others.
    most = 100 if isinstance(backend, (ClusterBackend, ShardsBackend)) else 30
    for taken in range(most):
        await until(lambda: places.held, "the next came")
        places.held.popleft().done()
        counts = Counter(places.came[: taken + 1])
        if min(counts[channel] for channel in "abc") >= 4:
            return
    raise AssertionError(places.came)


async def test_places_of_unreadable_messages_are_free_again(
    layer: BaseChannelLayer, made: list[Places], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R7: nothing is lost of the count of places, in any order of taking and letting go."""
    decode = Serializer.decode

    def reading(serializer: Serializer, data: bytes) -> Content:
        content = decode(serializer, data)
        if content["n"] == "unreadable":
            raise Undecodable("from another world")
        return content

    monkeypatch.setattr(Serializer, "decode", reading)
    made.append(places := Places(layer, ["a", "b"], 3))
    for number in range(30):
        channel = "ab"[number % 3 == 0]
        await layer.send(channel, {"n": "unreadable"})
        await layer.send(channel, {"n": number})
        await until(lambda: places.held, "it came")
        delivery = places.held.popleft()
        assert delivery.content == {"n": number}
        delivery.done()
    await fill(layer, "a", 5)
    await fill(layer, "b", 5)
    found = await places.reach(33)
    assert found["a"] + found["b"] == 33
    assert len(places.held) == 3
