"""What the in-memory layer promises beyond the contract."""

from __future__ import annotations

import asyncio
import gc

import pytest

from routechan.layers import InMemoryChannelLayer, memory, statistics
from routechan.layers.options import CapacityRules

from ...contract.reading import contents, everything


def test_the_options_in_their_1x_order() -> None:
    """section 2.1: the base constructor of asgiref 1.x, positional."""
    layer = InMemoryChannelLayer(1, 2, 3, {"a": 4})
    assert (layer.expiry, layer.group_expiry, layer.capacity, layer.channel_capacity) == (1, 2, 3, {"a": 4})


def test_time_is_taken_from_a_clock_that_never_jumps() -> None:
    """R3: without a clock of one's own, a message lives its seconds of real time."""
    face = InMemoryChannelLayer(expiry=30).sync
    face.send("channel", {})
    assert 0 <= face.channel_statistics("channel")["messages_max_age"] < 10
    assert contents(face, "channel") == [{}]


def test_it_stays_in_its_process() -> None:
    """section 2.9: ``runworker`` refuses such a layer."""
    assert InMemoryChannelLayer.crosses_processes is False


def test_two_layers_share_nothing() -> None:
    """style, habit 6: no module-level state."""
    first, second = InMemoryChannelLayer().sync, InMemoryChannelLayer().sync
    first.send("channel", {})
    first.group_add("group", "channel")
    assert everything(second, "channel") == []
    assert second.group_channels("group") == []


def test_a_blocking_receive_gives_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """section 2.3: a worker looks at its stop flag between two receives, so ``block`` does not last for ever."""
    monkeypatch.setattr(memory, "BLOCKING_WAIT", 0.01)
    face = InMemoryChannelLayer().sync
    assert face.receive(["channel"], block=True) == (None, None)
    face.send("channel", {})
    assert face.receive(["channel"]) == ("channel", {})


def test_content_for_an_attached_queue_is_handed_over() -> None:
    """design section 5: straight to the sockets, with no copy."""
    layer = InMemoryChannelLayer()
    taken: list[object] = []
    layer.attach(f"server.{layer.process}!", lambda channels, content: taken.append(content))
    content = {"text": "hello"}
    layer.sync.send(f"server.{layer.process}!a", content)
    assert taken[0] is content


def test_a_reader_whose_loop_was_closed_takes_nothing_with_it() -> None:
    """R10: loops come and go under the async face."""
    layer = InMemoryChannelLayer()
    loop = asyncio.new_event_loop()
    task = loop.create_task(layer.receive("channel"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    layer.sync.send("channel", {"a": 1})
    assert contents(layer.sync, "channel") == [{"a": 1}]
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is: that is the case tested
    del task
    gc.collect()


def test_nothing_is_kept_of_what_is_over() -> None:
    """R8: after reading, expiry, leaving and giving up, no queue, waiter or membership is left."""
    now = 0.0
    layer = InMemoryChannelLayer(expiry=1, clock=lambda: now)
    face, store = layer.sync, layer._store
    face.send("read", {})
    face.receive(["read"])
    face.send("expires", {})
    face.group_add("group", "expires")
    face.group_add("group", "process!leaves")
    face.group_discard("group", "process!leaves")
    now = 2.0
    face.receive(["expires"])

    async def give_up() -> None:
        task = asyncio.create_task(layer.receive("awaited"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(give_up())
    assert (store._queues, store._waiters, len(store._memberships)) == ({}, {}, 0)


def test_nothing_is_kept_over_a_flush() -> None:
    """section 2.2: a member whose message expires after it was flushed is no trouble."""
    now = 0.0
    layer = InMemoryChannelLayer(expiry=1, clock=lambda: now)
    face, store = layer.sync, layer._store
    face.group_add("group", "channel")
    face.send("channel", {})
    face.flush()
    assert (store._queues, len(store._memberships)) == ({}, 0)
    face.send("channel", {})
    now = 2.0
    assert face.receive(["channel"]) == (None, None)


def test_statistics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """style, habit 8: a process that uses ever new names does not grow; totals stay right."""
    monkeypatch.setattr(statistics, "COUNTED_QUEUES", 3)
    layer = InMemoryChannelLayer()
    for number in range(10):
        layer.sync.send(f"channel-{number}", {})
    assert len(layer._store.counts._queues) == 3
    assert layer.sync.channel_statistics("channel-9")["messages_count"] == 1
    assert layer.sync.channel_statistics("channel-0")["messages_count"] == 0
    assert layer.sync.global_statistics()["messages_count"] == 10


@pytest.mark.parametrize(
    ("channel", "capacity"), [("http.disconnect", 42), ("http.request", 100), ("http.response!abcdefgh", 10)]
)
def test_capacity_rules(channel: str, capacity: int) -> None:
    """items 31, 32, 33, to the number."""
    assert CapacityRules(42, {"http.response!*": 10, "http.request": 100}).of(channel) == capacity


def test_closing_forgets_what_was_to_come() -> None:
    """section 2.2: a layer that was closed delivers nothing any more, and its thread ends."""
    layer = InMemoryChannelLayer()
    layer.sync.send("channel", {}, delay=0.1)
    layer.close()
    layer.sync.send("channel", {"after": True}, delay=0.2)
    assert layer.sync.receive(["channel"], block=True) == ("channel", {"after": True})
    layer.close()
    layer.close()


def test_a_last_will_has_no_reader() -> None:
    """the contract of ``last_will``: with the only process gone, there is nobody to send it to; it is no error."""
    layer = InMemoryChannelLayer()
    layer.last_will(f"server.{layer.process}!a", "websocket.disconnect", {})
    layer.forget(f"server.{layer.process}!a")
    assert contents(layer.sync, "websocket.disconnect") == []
