"""One layer, used from several threads and event loops at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from routechan.layers import BaseChannelLayer, SyncChannelLayer

from .conftest import Backend
from .reading import SOON, areceive, everything

MESSAGES = 200
SENDERS = 4


@pytest.fixture
def roomy(backend: Backend) -> BaseChannelLayer:
    """A layer that holds all messages of a test."""
    return backend.make(capacity=MESSAGES * SENDERS)


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Run each function in a thread of its own, all at once; their results."""
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(timeout=30) for future in [pool.submit(function) for function in functions]]


def test_each_message_reaches_one_reader_once(roomy: BaseChannelLayer) -> None:
    """section 2.9, R2 (C1): four threads send, four read; nothing twice, nothing lost."""
    face = roomy.sync
    left = threading.Semaphore(MESSAGES * SENDERS)

    def send(sender: int) -> None:
        for number in range(MESSAGES):
            face.send("busy", {"sender": sender, "number": number})

    def read() -> list[tuple[int, int]]:
        got = []
        while left.acquire(blocking=False):
            deadline = time.monotonic() + SOON
            while True:
                channel, content = face.receive(["busy", "quiet"], block=True)
                if content is not None:
                    assert channel == "busy"
                    got.append((content["sender"], content["number"]))
                    break
                assert time.monotonic() < deadline, "a message is missing"
        return got

    results = together(
        *[lambda sender=sender: send(sender) for sender in range(SENDERS)],
        *[read for _ in range(4)],
    )
    got = Counter(item for result in results[SENDERS:] for item in result)
    assert got == Counter((sender, number) for sender in range(SENDERS) for number in range(MESSAGES))
    assert face.receive(["busy"]) == (None, None)


@pytest.mark.parametrize(("channel", "read_as"), [("single?abc", "single?abc"), ("process!abc", "process!")])
def test_one_writer_and_one_reader_keep_the_order(roomy: BaseChannelLayer, channel: str, read_as: str) -> None:
    """section 2.4: perfect order for one writer and one reader, while both are at work."""
    face = roomy.sync

    def send() -> None:
        for number in range(MESSAGES):
            face.send(channel, {"number": number})

    def read() -> list[int]:
        got: list[int] = []
        deadline = time.monotonic() + SOON
        while len(got) < MESSAGES and time.monotonic() < deadline:
            name, content = face.receive([read_as], block=True)
            if content is not None:
                assert name == channel
                got.append(content["number"])
        return got

    assert together(send, read)[1] == list(range(MESSAGES))


def test_a_blocking_receive_is_woken_by_another_thread(face: SyncChannelLayer) -> None:
    """section 2.3: ``block=True`` may wait, here for any of its channels."""
    entered = threading.Event()

    def read() -> Any:
        entered.set()
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            pair = face.receive(["first", "process!"], block=True)
            if pair != (None, None):
                return pair

    def send() -> None:
        entered.wait(SOON)
        face.send("process!a", {"a": 1})

    assert together(read, send)[0] == ("process!a", {"a": 1})


def test_capacity_holds_with_many_senders(backend: Backend) -> None:
    """section 8.1, 5 (C8): the check and the send are one step."""
    face = backend.make(capacity=5).sync
    start = threading.Barrier(8)

    def send() -> int:
        start.wait(SOON)
        sent = 0
        for _ in range(5):
            try:
                face.send("cap_test", {})
                sent += 1
            except face.ChannelFull:
                pass
        return sent

    assert sum(together(*[send] * 8)) == 5
    assert len(everything(face, "cap_test")) == 5


def test_groups_may_change_while_they_are_sent_to(roomy: BaseChannelLayer) -> None:
    """section 2.9: who stays a member gets every message, whoever else comes and goes."""
    face = roomy.sync
    face.group_add("tgroup", "stays")

    def come_and_go(name: str) -> None:
        for _ in range(MESSAGES):
            face.group_add("tgroup", name)
            face.group_discard("tgroup", name)

    def send() -> None:
        for number in range(MESSAGES):
            face.send_group("tgroup", {"number": number})

    together(send, lambda: come_and_go("goes"), lambda: come_and_go("stays!not"))
    assert [content["number"] for _, content in everything(face, "stays")] == list(range(MESSAGES))
    assert list(face.group_channels("tgroup")) == ["stays"]


def test_a_thread_wakes_a_reader_on_a_loop(layer: BaseChannelLayer) -> None:
    """section 2.10: the sender knows nothing of the reader's loop."""

    async def read() -> dict[str, Any]:
        receiving = asyncio.create_task(layer.receive("test-channel"))
        await asyncio.sleep(0)
        await asyncio.to_thread(layer.sync.send, "test-channel", {"from": "a thread"})
        return await asyncio.wait_for(receiving, SOON)

    assert asyncio.run(read()) == {"from": "a thread"}


def test_several_loops_read_at_once(roomy: BaseChannelLayer) -> None:
    """section 8.1, 10 (C18): two loops wait on names of their own, both get theirs, in order."""
    names: dict[int, str] = {}
    ready = threading.Barrier(3)

    async def read(which: int) -> list[int]:
        names[which] = await roomy.new_channel()
        await roomy.group_add("tgroup", names[which])
        first = asyncio.create_task(areceive(roomy, names[which]))
        await asyncio.sleep(0)
        await asyncio.to_thread(ready.wait, SOON)
        return [(await first)["number"]] + [
            (await areceive(roomy, names[which]))["number"] for _ in range(MESSAGES - 1)
        ]

    def send() -> None:
        ready.wait(SOON)
        for number in range(MESSAGES):
            roomy.sync.send_group("tgroup", {"number": number})

    results = together(lambda: asyncio.run(read(0)), lambda: asyncio.run(read(1)), send)
    assert results[:2] == [list(range(MESSAGES))] * 2


def test_loops_and_threads_share_one_channel(roomy: BaseChannelLayer) -> None:
    """R2, R10: readers on two loops and in a thread; each message goes to one of them."""
    left = threading.Semaphore(MESSAGES)

    async def read_on_loop() -> list[int]:
        got = []
        while left.acquire(blocking=False):
            got.append((await areceive(roomy, "busy"))["number"])
        return got

    def read() -> list[int]:
        got = []
        while left.acquire(blocking=False):
            content = None
            while content is None:
                content = roomy.sync.receive(["busy"], block=True)[1]
            got.append(content["number"])
        return got

    def send() -> None:
        for number in range(MESSAGES):
            roomy.sync.send("busy", {"number": number})

    results = together(lambda: asyncio.run(read_on_loop()), lambda: asyncio.run(read_on_loop()), read, send)
    assert sorted(number for result in results[:3] for number in result) == list(range(MESSAGES))


def test_a_loop_for_each_call(roomy: BaseChannelLayer) -> None:
    """items 64, 83: what ``async_to_sync`` does from a plain thread, names made in one loop and read in another."""
    name = asyncio.run(roomy.new_channel())
    asyncio.run(roomy.group_add("tgroup", name))
    for number in range(50):
        asyncio.run(roomy.send(name, {"number": 2 * number}))
        asyncio.run(roomy.group_send("tgroup", {"number": 2 * number + 1}))
    assert [asyncio.run(areceive(roomy, name))["number"] for _ in range(100)] == list(range(100))
    asyncio.run(roomy.flush())
