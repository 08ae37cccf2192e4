"""Delayed sends come on time, whichever process sends them and whichever looks after them."""

from __future__ import annotations

import asyncio

import pytest

from routechan.layers import BaseChannelLayer, InMemoryChannelLayer
from tests.waiting import stretched

from .tools import Make

#: Seconds that a message may come late.
LATE = 0.1

DELAYS = (0.35, 0.05, 0.7, 0.2, 1.0, 1.3)


async def lateness(sender: BaseChannelLayer, receiver: BaseChannelLayer, close: bool) -> list[float]:
    """How late each message comes that is sent with a delay, now and then; it ends when all are sent if ``close``."""
    loop = asyncio.get_running_loop()
    late: list[float] = []

    async def receive() -> None:
        for _ in DELAYS:
            message = await receiver.receive("reminders")
            late.append(loop.time() - message["due"])

    receiving = asyncio.create_task(receive())
    await asyncio.sleep(0.15)  # the receiver has looked, and would look again in a second
    for delay in DELAYS:
        due = loop.time() + delay
        await asyncio.to_thread(sender.sync.send, "reminders", {"due": due}, delay)
        await asyncio.sleep(0.11)
    if close:
        await asyncio.to_thread(sender.close)
    await asyncio.wait_for(receiving, stretched(5))
    return late


@pytest.mark.parametrize("ends", [False, True], ids=["sender lives on", "sender ends"])
@pytest.mark.parametrize("serves", [False, True], ids=["receiver waits only", "receiver serves"])
async def test_a_message_of_another_process_is_on_time(make: Make, serves: bool, ends: bool) -> None:
    """the contract of ``send``: a command that only sends, and processes that serve sockets or only wait."""
    sender, *others = make(), make(), make(), make()
    for other in others:
        if serves:
            await other.new_channel()
        other.engine.housekeeping.start()
    late = await lateness(sender, others[0], ends)
    assert min(late) >= -0.01
    assert max(late) < stretched(LATE)


async def test_a_message_in_memory_is_on_time() -> None:
    """the contract of ``send``: the same in one process."""
    layer = InMemoryChannelLayer()
    assert max(await lateness(layer, layer, False)) < stretched(LATE)


async def test_many_that_are_due_at_once_are_on_time(make: Make) -> None:
    """style, habit 8: they leave together, and not one after the other."""
    sender, receiver = make(), make()
    await receiver.new_channel()
    due = receiver.now() + stretched(1.5)
    names = [f"reminders{number}" for number in range(20)]
    await asyncio.gather(*(sender.send(name, {}, due - sender.now()) for name in names * 20))
    await asyncio.gather(*(receiver.receive(name) for name in names * 20))
    assert receiver.now() - due < stretched(LATE) * 3
