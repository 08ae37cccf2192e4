"""Somebody who says numbered things to the group that all sockets are in, as a view does that is no consumer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any

from routechan.layers import RedisChannelLayer

#: Seconds between two of them.
PAUSE = 0.5


class Announcer:
    """Use with ``async with``. Lifetime: one run. Its own way to Redis is never broken."""

    def __init__(self, url: str, prefix: str, group: str, options: dict[str, Any]) -> None:
        self.layer = RedisChannelLayer(hosts=[url], prefix=prefix, **options)
        self._group = group
        self._number = 0
        self._talks = asyncio.Event()

    async def __aenter__(self) -> Announcer:
        self._talks.set()
        self._task = asyncio.create_task(self._talk())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self.layer.close()

    async def _talk(self) -> None:
        while True:
            await self._talks.wait()
            await self._say()
            await asyncio.sleep(PAUSE)

    async def _say(self) -> int:
        self._number += 1
        number = self._number
        await self.layer.group_send(self._group, {"text": f"g{number}"})
        return number

    async def last_words(self) -> int:
        """Say one thing more, and nothing then, until ``go_on``."""
        self._talks.clear()
        return await self._say()

    def go_on(self) -> None:
        self._talks.set()
