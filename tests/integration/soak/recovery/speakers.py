"""Those who send numbered messages to the groups, as scripts do that are no consumers."""

from __future__ import annotations

import asyncio
from typing import Any

from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import RedisChannelLayer
from routechan.layers.history import History


class Speakers:
    """One for each group. Use with ``async with``. Lifetime: one run.

    Args:
        layer: the layer's options.
        groups: names of groups with a history.
        rate: messages a second to each.
    """

    def __init__(self, layer: dict[str, Any], groups: list[str], rate: float) -> None:
        self._options = layer
        self._groups = groups
        self._pause = 1 / rate
        self._number = dict.fromkeys(groups, 0)
        self._talks = asyncio.Event()
        #: Sends of which nobody knows whether Redis has them.
        self.in_doubt = 0

    async def __aenter__(self) -> Speakers:
        self.layer = RedisChannelLayer(**self._options)
        self._tasks = [asyncio.create_task(self._talk(group)) for group in self._groups]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.layer.close()

    def talk(self) -> None:
        self._talks.set()

    async def last_words(self) -> None:
        """Be silent after one message more to each group, which Redis has."""
        self._talks.clear()
        for group in self._groups:
            while not await self._say(group):
                await asyncio.sleep(self._pause)

    async def history(self, group: str) -> History:
        return await self.layer.group_history(group)

    async def _talk(self, group: str) -> None:
        while True:
            await self._talks.wait()
            await asyncio.gather(self._say(group), asyncio.sleep(self._pause))

    async def _say(self, group: str) -> bool:
        self._number[group] += 1
        try:
            await self.layer.group_send(group, {"text": str(self._number[group])})
        except ChannelLayerUnavailable:
            self.in_doubt += 1
            return False
        return True
