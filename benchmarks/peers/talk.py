"""What a process of the benchmark and the script say to each other: a line of JSON at a time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any


async def hear() -> str:
    """Wait for a line of the script. When the script is gone, so is this process."""
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        os._exit(1)
    return line.strip()


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


class Acks:
    """Bytes that another process writes to a pipe, one for each thing done. Lifetime: the process."""

    def __init__(self, descriptor: int) -> None:
        self.count = 0
        self._descriptor = descriptor
        self._changed = asyncio.Event()
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        self.count += len(os.read(self._descriptor, 65536))
        self._changed.set()

    async def at_least(self, count: int, patience: float) -> bool:
        """Whether there were that many within ``patience`` seconds."""
        try:
            while self.count < count:
                self._changed.clear()
                await asyncio.wait_for(self._changed.wait(), patience)
        except asyncio.TimeoutError:
            return False
        return True
