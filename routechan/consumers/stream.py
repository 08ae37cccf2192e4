"""A generator consumer while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..concurrency import maybe_await
from ..interfaces import Outlet, Recovering
from ..outbox import flush
from .dispatch import Invocation

if TYPE_CHECKING:
    from .connection import Runtime

#: Seconds for which the end of a plain generator is waited for, which comes at its next step.
STREAM_END_TIME = 1.0


class Stream:
    """One running generator consumer, beside later events of its connection.

    Lifetime: until it ends by itself, or after ``end``.

    After each step what it sent and yielded is delivered, and the next step waits until the client has taken it.

    Args:
        runtime: runs it.
        outlet: where its replies leave; None where they go over the layer.
        invocation: of the consumer.
        generator: what the consumer returned, or None where it has yet to be called.
    """

    def __init__(self, runtime: Runtime, outlet: Outlet | None, invocation: Invocation, generator: Any) -> None:
        self.invocation = invocation
        self._runtime = runtime
        self._outlet = outlet
        self._generator = generator
        recovery = None if outlet is None else outlet.recovery
        self._flush = flush if recovery is None else partial(flush_and_tell, recovery)
        #: The task that runs it, which lasts as long as the generator.
        self.task: asyncio.Task[None] | None = None
        self._ending = False

    def end(self) -> None:
        """Close the generator: an async one at its current ``await``, a plain one at its next step."""
        if self.task is not None and not self._ending:
            self._ending = True
            self.task.cancel()

    async def run_on_loop(self) -> None:
        """Iterate an async generator in this task."""
        try:
            await self._runtime.dispatcher.aiterate(self.invocation, self._generator, self._deliver)
        finally:
            self._deliver_rest()

    async def run_on_thread(self) -> None:
        """Iterate a plain generator on a thread of its own; the loop delivers each step, and says when to go on."""
        dispatcher = self._runtime.dispatcher
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[bool] = asyncio.Queue()
        delivered = threading.Semaphore(0)
        wanted = True

        def emit() -> bool:
            if wanted:
                loop.call_soon_threadsafe(steps.put_nowait, True)
                delivered.acquire()
            return wanted

        def iterate() -> None:
            try:
                dispatcher.iterate(self.invocation, self._generator, emit)
            finally:
                with contextlib.suppress(RuntimeError):  # the server may have ended by now, and closed its loop
                    loop.call_soon_threadsafe(self._deliver_rest)
                    loop.call_soon_threadsafe(steps.put_nowait, False)

        try:
            self._runtime.threads.dedicate(iterate, f"routechan-stream {self.invocation}")
        except RuntimeError as error:  # too many plain generators stream already
            dispatcher.refuse(self.invocation, error)
            self._deliver_rest()
            return
        try:
            while await steps.get():
                wanted = await self._deliver()
                delivered.release()
        except asyncio.CancelledError:
            wanted = False  # the generator is closed at its next step
            delivered.release()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_last(steps), STREAM_END_TIME)
            raise
        finally:
            wanted = False
            delivered.release()

    async def _deliver(self) -> bool:
        """Whether the connection wants another step, once this one is delivered."""
        await maybe_await(self._flush(self.invocation))
        if self._outlet is None:
            return True
        await self._outlet.writable()
        return not self._outlet.closed

    def _deliver_rest(self) -> None:
        """Deliver what the generator sent at its end, which may come after its connection's."""
        pending = self._flush(self.invocation)
        if pending is not None:
            self._runtime.spawn(maybe_await(pending))


def flush_and_tell(recovery: Recovering, invocation: Invocation) -> Awaitable[None] | None:
    """Deliver what a consumer has sent, and then tell its connection.

    Args:
        recovery: That of the connection.
        invocation: Of the consumer.

    Returns:
        What is awaited where that takes time.
    """
    pending = flush(invocation)
    if pending is not None:
        return _told(recovery, pending)
    recovery.flushed()
    return None


async def _told(recovery: Recovering, pending: Awaitable[None]) -> None:
    try:
        await pending
    finally:
        recovery.flushed()


async def _last(steps: asyncio.Queue[bool]) -> None:
    """Wait until ``steps`` says that there are no more."""
    while await steps.get():
        pass
