"""A layer that has no more than what every layer must have, and so can only be polled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from routechan.encoding import Content
from routechan.layers import BaseChannelLayer, polling
from routechan.layers.base import Delivery
from routechan.layers.statistics import COUNTED
from routechan.names import queue_name
from tests.waiting import until, wait_until

OWN = "websocket.send.abcdef.ME!"


class Polled(BaseChannelLayer):
    """Messages in a list. ``trouble`` are errors of the next polls. Lifetime: test."""

    poll_interval = 0.001
    process = "ME"

    def __init__(self) -> None:
        self.messages: list[tuple[str, Content]] = []
        self.trouble: deque[Exception] = deque()
        self.polls = 0

    async def send(self, channel: str, content: Content, delay: float = 0.0, *, headers: Any = None) -> None:
        self.messages.append((channel, content))

    async def group_send(self, group: str, content: Content, delay: float = 0.0, *, headers: Any = None) -> None: ...

    async def poll(self, channels: Sequence[str]) -> Delivery | None:
        self.polls += 1
        if self.trouble:
            raise self.trouble.popleft()
        for place, (channel, content) in enumerate(self.messages):
            if queue_name(channel) in channels:
                del self.messages[place]
                return Delivery(channel, content, {})
        return None

    async def group_add(self, group: str, channel: str) -> None: ...

    async def group_discard(self, group: str, channel: str) -> None: ...

    async def group_channels(self, group: str) -> Collection[str]:
        return ["a", "b"]

    def forget(self, channel: str) -> None: ...

    async def flush(self) -> None:
        self.messages.clear()


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Polled]:
    """It is closed at the end, and tried again soon after trouble."""
    monkeypatch.setattr(polling, "TROUBLE_DELAY", 0.001)
    with closing(Polled()) as made:
        yield made


async def test_trouble_of_a_subscription(layer: Polled, caplog: pytest.LogCaptureFixture) -> None:
    """An error may be temporary: it is logged, and the layer is asked again."""
    found: list[Delivery] = []
    layer.trouble += [OSError("away"), OSError("away")]
    subscription = layer.subscribe(["work"], found.append, 1)
    await layer.send("work", {"n": 1})
    await until(lambda: found)
    assert found[0].content == {"n": 1}
    assert caplog.text.count("Asking for messages of work failed") == 2
    subscription.end()


def test_trouble_of_an_attached_queue(layer: Polled, caplog: pytest.LogCaptureFixture) -> None:
    """The same; an error in one message costs only itself."""
    found: list[Content] = []

    def deliver(channels: Sequence[str], content: Content) -> None:
        if content == {"n": 0}:
            raise RuntimeError("a mistake")
        found.append(content)

    layer.trouble.append(OSError("away"))
    layer.attach(OWN, deliver)
    layer.messages += [(f"{OWN}a", {"n": 0}), (f"{OWN}b", {"n": 1})]
    wait_until(lambda: found == [{"n": 1}])
    assert caplog.text.count(f"Handing on what is sent to {OWN} failed") == 2


async def test_who_is_served(layer: Polled) -> None:
    """It knows of its own process; of others it cannot tell."""
    assert await layer.is_served("websocket.send.abcdef.OTHER!a")
    assert not await layer.is_served(f"{OWN}a")
    layer.attach(OWN, lambda channels, content: None)
    assert await layer.is_served(f"{OWN}a")
    layer.detach(OWN)
    assert not await layer.is_served(f"{OWN}a")
    assert layer.detach(OWN) is None


def test_closing_ends_what_is_attached(layer: Polled) -> None:
    """Nothing is asked for any more."""
    layer.attach(OWN, lambda channels, content: None)
    wait_until(lambda: layer.polls, "it was asked")
    layer.close()
    polls = layer.polls
    layer.messages.append((f"{OWN}a", {}))
    assert layer.sync.receive([OWN]) == (f"{OWN}a", {})
    assert layer.polls == polls + 1


def test_the_counts_of_a_layer_that_counts_nothing(layer: Polled) -> None:
    """Zeros; and members are counted one by one."""
    zeros = dict.fromkeys(COUNTED, 0)
    assert layer.sync.global_statistics() == zeros
    assert layer.sync.channel_statistics("a") == {**zeros, "messages_pending": 0, "messages_max_age": 0.0}
    assert layer.sync.group_count("g") == 2


def test_a_blocking_receive_asks_again(layer: Polled) -> None:
    """section 2.3: until there is something, or for ``blocking_wait`` seconds."""
    face = layer.sync
    face.blocking_wait = 0.05
    assert face.receive(["work"], block=True) == (None, None)
    assert layer.polls > 1
    face.send("work", {"n": 1})
    assert face.receive(["work"], block=True) == ("work", {"n": 1})


async def test_the_1x_face_where_a_loop_runs(layer: Polled) -> None:
    """What does not wait may be called there; its error is the caller's."""
    layer.sync.send("work", {"n": 1})
    assert layer.sync.receive(["work"]) == ("work", {"n": 1})
    layer.trouble.append(OSError("away"))
    with pytest.raises(OSError, match="away"):
        layer.sync.receive(["work"])
    await asyncio.sleep(0)
