"""What the connections of one process run their consumers with."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from .dispatch import Dispatcher
from .layers.base import SyncChannelLayer
from .threads import Threads


class Runtime:
    """Threads and tasks for consumers. Lifetime: from ``__init__`` on the event loop to ``stop``."""

    def __init__(self, dispatcher: Dispatcher, layer: SyncChannelLayer, threads: int) -> None:
        self.dispatcher = dispatcher
        self.layer = layer
        self.threads = Threads(threads)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``coroutine`` beside the connection that asks for it."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel what is still running, and let the threads end."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.threads.stop()
