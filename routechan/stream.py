"""A generator consumer: what it yields goes to the reply channel while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

from .delivery import flush
from .handover import Outlet, settled
from .run import Run
from .runtime import Runtime


class Stream:
    """One running generator. Lifetime: until it ends, or its connection is closed and its task cancelled.

    After each step what it sent and yielded is delivered, and the next step waits until the connection
    has taken it: a fast generator keeps the pace of a slow client.
    """

    def __init__(self, runtime: Runtime, outlet: Outlet | None, run: Run, generator: Any) -> None:
        self.run = run
        self._runtime = runtime
        self._outlet = outlet
        self._generator = generator  # None if the consumer has yet to be called

    async def on_the_loop(self) -> None:
        """Iterate an async generator."""
        try:
            await self._runtime.dispatcher.aiterate(self.run, self._generator, self._deliver)
        finally:
            self._deliver_soon()

    async def on_a_thread(self) -> None:
        """Iterate a plain generator on a thread of its own; the loop delivers, and says when to go on."""
        dispatcher = self._runtime.dispatcher
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[bool] = asyncio.Queue()
        go_on = threading.Semaphore(0)
        wanted = True

        def emit() -> bool:
            if wanted:
                loop.call_soon_threadsafe(steps.put_nowait, True)
                go_on.acquire()
            return wanted

        def iterate() -> None:
            try:
                dispatcher.iterate(self.run, self._generator, emit)
            finally:
                with contextlib.suppress(RuntimeError):  # the server may be gone by now, and its loop closed
                    loop.call_soon_threadsafe(self._deliver_soon)
                    loop.call_soon_threadsafe(steps.put_nowait, False)

        try:
            self._runtime.threads.dedicate(iterate, f"routechan-stream {self.run}")
        except RuntimeError as error:  # too many stream already
            dispatcher.refuse(self.run, error)
            return
        try:
            while await steps.get():
                wanted = await self._deliver()
                go_on.release()
        finally:
            wanted = False  # cancelled: the generator is closed at its next step
            go_on.release()

    async def _deliver(self) -> bool:
        """Deliver a step; whether the connection wants another."""
        await settled(flush(self.run))
        if self._outlet is None:  # the message came over the layer, and its replies go over it
            return True
        await self._outlet.writable()
        return not self._outlet.closed

    def _deliver_soon(self) -> None:
        """Deliver what the generator sent at its end, which may be after its connection's."""
        pending = flush(self.run)
        if pending is not None:
            self._runtime.spawn(settled(pending))
