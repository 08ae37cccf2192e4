"""A task that receives is woken by the event itself, and none is lost whatever becomes of the task."""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from routechan.server.inbox import Inbox


class Receiver:
    """An inbox, and what a task has received from it."""

    def __init__(self) -> None:
        self.emptied = 0
        self.inbox = Inbox(asyncio.get_running_loop(), self._empty)
        self.inbox.held = True
        self.received: list[Any] = []

    def _empty(self) -> None:
        self.emptied += 1

    def from_loop(self, *numbers: int) -> None:
        """Put events as a transport does: in a callback of the loop, where no task runs."""
        asyncio.get_running_loop().call_soon(self._put, *numbers)

    def _put(self, *numbers: int) -> None:
        for number in numbers:
            self.inbox.put({"number": number})
            self.received.append(f"put {number}")

    def from_task(self, *numbers: int) -> None:
        """Put events where a task runs."""
        for number in numbers:
            self.inbox.put_soon({"number": number})
            self.received.append(f"put {number}")

    async def run(self) -> None:
        while True:
            self.received.append((await self.inbox.receive())["number"])


@pytest.fixture
async def receiver() -> Receiver:
    return Receiver()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_task_has_consumed_an_event_when_put_returns(receiver: Receiver) -> None:
    task = asyncio.create_task(receiver.run())
    await turns()
    receiver.from_loop(1, 2)
    await turns()
    assert receiver.received == [1, "put 1", 2, "put 2"]
    assert receiver.emptied == 2
    task.cancel()


async def test_another_task_puts(receiver: Receiver) -> None:
    """The task that waits runs when the one that puts has stopped, as with any future."""
    task = asyncio.create_task(receiver.run())
    await turns()
    receiver.from_task(1)
    assert receiver.received == ["put 1"]
    await turns()
    assert receiver.received == ["put 1", 1]
    task.cancel()


async def test_events_before_anybody_receives(receiver: Receiver) -> None:
    receiver.from_task(1, 2)
    assert len(receiver.inbox) == 2
    assert (await receiver.inbox.receive())["number"] == 1
    assert receiver.emptied == 0
    assert (await receiver.inbox.receive())["number"] == 2
    assert receiver.emptied == 1


async def test_several_tasks_receive(receiver: Receiver) -> None:
    """Each event goes to one of them, in the order in which they have asked."""
    tasks = [asyncio.create_task(receiver.inbox.receive()) for _ in range(3)]
    await turns()
    receiver.from_loop(1, 2, 3)
    assert [event["number"] for event in await asyncio.gather(*tasks)] == [1, 2, 3]


async def test_several_tasks_receive_one_after_another(receiver: Receiver) -> None:
    """None is forgotten, whichever of them ends or is cancelled while the others wait."""
    tasks = [asyncio.create_task(receiver.inbox.receive()) for _ in range(4)]
    await turns()
    receiver.from_loop(1)
    assert (await tasks[0])["number"] == 1
    await turns()
    tasks[1].cancel()  # it waits for the inbox itself
    tasks[2].cancel()  # it waits for its turn
    await turns()
    receiver.from_loop(2)
    assert (await asyncio.wait_for(tasks[3], 5))["number"] == 2
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_task_that_is_cancelled(receiver: Receiver) -> None:
    task = asyncio.create_task(receiver.run())
    await turns()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough" if sys.version_info >= (3, 11) else None):
        await task
    receiver.from_task(1)
    assert (await receiver.inbox.receive())["number"] == 1


async def test_an_event_for_a_task_that_is_cancelled_is_kept(receiver: Receiver) -> None:
    """The event comes before or behind the cancellation, in the same turn of the loop."""
    for cancelled_first in (False, True):
        task = asyncio.create_task(receiver.inbox.receive())
        other = asyncio.create_task(receiver.inbox.receive())
        await turns()
        if cancelled_first:
            task.cancel()
        receiver.from_task(1)  # from a task, so the one that waits has yet to run
        if not cancelled_first:
            task.cancel()
        assert (await asyncio.wait_for(other, 5))["number"] == 1
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(receiver.inbox) == 0


async def test_deadlines(receiver: Receiver) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(receiver.inbox.receive(), 0.01)
    with anyio.move_on_after(0.01) as scope:
        await receiver.inbox.receive()
    assert scope.cancelled_caught
    receiver.from_loop(1)
    with anyio.fail_after(5):
        assert (await receiver.inbox.receive())["number"] == 1


async def test_the_task_and_its_context(receiver: Receiver) -> None:
    """The application runs in its own task and with its own context variables, whoever has woken it."""
    variable: ContextVar[str] = ContextVar("variable", default="of the loop")
    seen = []

    async def application() -> None:
        variable.set("of the application")
        await receiver.inbox.receive()
        seen.append((asyncio.current_task(), variable.get()))
        await asyncio.sleep(0)
        seen.append((asyncio.current_task(), variable.get()))

    task = asyncio.create_task(application())
    await turns()
    receiver.from_loop(1)
    await task
    assert seen == [(task, "of the application")] * 2
    assert variable.get() == "of the loop"


async def test_an_error_of_the_application_is_its_task_s(receiver: Receiver) -> None:
    async def application() -> None:
        await receiver.inbox.receive()
        raise ValueError("mine")

    task = asyncio.create_task(application())
    await turns()
    receiver.from_loop(1)
    with pytest.raises(ValueError, match="mine"):
        await task
    assert receiver.received == ["put 1"]
