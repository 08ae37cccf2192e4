"""The fence: what a server does that stood still, with the layer and the clock in the test's hands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from types import SimpleNamespace
from typing import Any

import pytest

from routechan.asgi.fence import Fence
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import InMemoryChannelLayer
from routechan.layers.leased import Leased


class Layer(InMemoryChannelLayer, Leased):
    """One with a lease, whose answer the test gives. Lifetime: test."""

    lease = 600.0

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Callable[[Collection[str]], object]] = []
        self.asked = 0
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_cleared_away(self, call: Callable[[Collection[str]], object]) -> None:
        self.told.append(call)

    async def prove_life(self) -> None:
        self.asked += 1
        await self.answer


class Sockets:
    """As ``ReplyChannels``. Lifetime: test."""

    def __init__(self) -> None:
        self.fenced: list[set[str]] = []

    def __len__(self) -> int:
        return 3

    def fence(self, told: Collection[str]) -> int:
        self.fenced.append(set(told))
        return 3


class Bench:
    """A fence whose ticks the test makes. Lifetime: test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layer, self.sockets, self.now = Layer(), Sockets(), 1000.0
        sockets: Any = self.sockets
        self.fence = Fence(self.layer, sockets)
        monkeypatch.setattr("routechan.asgi.fence.time", SimpleNamespace(monotonic=lambda: self.now))
        self.fence.start()

    def tick(self, after: float) -> None:
        self.now += after
        assert self.fence._timer is not None
        self.fence._timer.cancel()
        self.fence._tick(self.layer)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    made = Bench(monkeypatch)
    yield made
    made.fence.stop()


async def test_no_gap_no_doubt(bench: Bench) -> None:
    """a busy event loop is late now and then."""
    for after in (1.0, 5.0, 299.0):
        bench.tick(after)
        assert bench.fence.doubt is None
    assert bench.layer.asked == 0


async def test_after_a_gap_events_wait_until_the_layer_has_said(bench: Bench) -> None:
    """And several gaps are one question."""
    bench.tick(301.0)
    bench.tick(301.0)
    waiting = [asyncio.ensure_future(bench.fence.settled()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # one connection is cancelled
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting[1].done()
    bench.layer.told[0]({"told"})
    bench.layer.answer.set_result(None)
    await waiting[1]
    assert (bench.fence.doubt, bench.layer.asked, bench.sockets.fenced) == (None, 1, [{"told"}])


async def test_a_layer_that_cannot_say_holds_nobody_up(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Sockets go on while Redis is away; should others have taken it for dead, it is told later."""
    bench.tick(301.0)
    bench.layer.answer.set_exception(ChannelLayerUnavailable("it is away"))
    await bench.fence.settled()
    assert bench.sockets.fenced == []
    assert "cannot learn whether others took it for dead: it is away" in caplog.text


async def test_the_layer_tells_on_any_thread(bench: Bench) -> None:
    """housekeeping finds it out for a process that was cut off and never stood still."""
    thread = threading.Thread(target=bench.layer.told[0], args=(set(),))
    thread.start()
    thread.join()
    for _ in range(2):
        await asyncio.sleep(0)
    assert bench.sockets.fenced == [set()]


async def test_a_layer_without_leases_is_not_watched() -> None:
    """nobody clears away what lives in one process."""
    sockets: Any = Sockets()
    fence = Fence(InMemoryChannelLayer(), sockets)
    fence.start()
    assert fence._timer is None
    fence.stop()
