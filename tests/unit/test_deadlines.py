"""Deadlines of the same length, on one timer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from routechan.deadlines import call_after
from tests.waiting import until


async def test_each_is_called_once_in_order_and_not_before() -> None:
    loop, called = asyncio.get_running_loop(), []
    began = loop.time()
    for number in range(3):
        call_after(loop, 0.05, lambda number=number: called.append((number, loop.time() - began)))
    call_after(loop, 0.01, lambda: called.append(("short", loop.time() - began)))
    await until(lambda: len(called) == 4)
    assert [name for name, _ in called] == ["short", 0, 1, 2]
    assert all(at >= 0.049 for _, at in called[1:])


async def test_one_is_set_when_another_is_reached() -> None:
    """The queue is empty by then, and is armed again."""
    loop, called = asyncio.get_running_loop(), []

    def again() -> None:
        called.append(len(called))
        if len(called) < 3:
            call_after(loop, 0.01, again)

    call_after(loop, 0.01, again)
    await until(lambda: called == [0, 1, 2])


async def test_a_cancelled_one_is_not_called_and_holds_nothing() -> None:
    class Thing:
        called = False

        def call(self) -> None:
            self.called = True

    loop, first, gone, last = asyncio.get_running_loop(), Thing(), Thing(), Thing()
    call_after(loop, 0.03, first.call)
    deadline = call_after(loop, 0.03, gone.call)
    call_after(loop, 0.03, last.call)
    deadline.cancel()
    assert deadline.cancelled
    freed = weakref.ref(gone)
    del gone
    assert freed() is None
    await until(lambda: last.called)
    assert first.called


async def test_one_that_raises_ends_no_other() -> None:
    loop, called, reported = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def fail() -> None:
        raise ValueError("of this one")

    call_after(loop, 0.01, fail)
    call_after(loop, 0.01, lambda: called.append(True))
    await until(lambda: called)
    assert [str(error) for error in reported] == ["of this one"]


async def test_thousands_take_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, armed = asyncio.get_running_loop(), []
    call_at = loop.call_at

    def counting(when: float, call: Any, *arguments: Any, **options: Any) -> Any:
        armed.append(when)
        return call_at(when, call, *arguments, **options)

    monkeypatch.setattr(loop, "call_at", counting)
    called: list[int] = []
    for number in range(2000):
        call_after(loop, 0.02, lambda number=number: called.append(number))
    assert len(armed) == 1
    await until(lambda: len(called) == 2000)


def test_a_loop_that_is_gone_is_freed() -> None:
    async def set_one() -> None:
        call_after(asyncio.get_running_loop(), 100, print)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(set_one())
    loop.close()
    freed = weakref.ref(loop)
    del loop
    gc.collect()
    assert freed() is None
