"""Crowds of clients that come all at once and leave all at once, again and again: what they leave behind."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from .crowd import Crowd
from .waiting import stretched

#: Descriptors and tasks that a process may have more after its first clients: what it opens once.
SPARE = 8

#: Seconds until nothing is left of a crowd that has gone; stretched.
GONE = 5.0


async def come_and_go(
    ports: list[int], path: str, clients: int, held: Callable[[], Awaitable[Counter[str]]]
) -> Counter[object]:
    """Three crowds, one after another; how clients were refused before they were in.

    All get in. What is ``held`` is then what was held before. Objects that are made once may be more of them, but not
    one for each client: it would be found in the third crowd.
    """
    before = await held()
    most = before + Counter(descriptors=SPARE, tasks=SPARE, objects=2 * clients)
    refusals: Counter[object] = Counter()
    for _ in range(3):
        async with Crowd(ports, path, clients) as crowd:
            assert (await held())["tasks"] > most["tasks"]
            assert crowd.lost == 0
        refusals += crowd.refusals
        began = time.monotonic()
        while more := (after := await held()) - most:
            assert time.monotonic() < began + stretched(GONE), f"held are {after}, {more} more than {most}"
            await asyncio.sleep(0.05)
    return refusals
