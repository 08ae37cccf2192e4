"""Waiting for what comes true soon, on a thread and on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: Seconds after which it has failed. Long, because a busy machine is slow, and only a failure takes so long.
PATIENCE = 10.0


def wait_until(condition: Callable[[], object], what: str = "it") -> None:
    """Until ``condition()`` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not so after {PATIENCE:g} s"
        time.sleep(0.001)


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """``wait_until`` on an event loop."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not so after {PATIENCE:g} s"
        await asyncio.sleep(0.001)
