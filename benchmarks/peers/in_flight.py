"""One process: tasks that each send to a channel of their own and receive from it."""

from __future__ import annotations

import asyncio
from typing import Any

from talk import hear, say


async def pairs(layer: Any, spec: dict[str, Any]) -> None:
    """``own``: names of ``new_channel``, else normal channels."""
    done = 0
    names = [await layer.new_channel() if spec["own"] else f"in-flight-{number}" for number in range(spec["tasks"])]

    async def one(name: str) -> None:
        nonlocal done
        number = 0
        while True:
            number += 1
            await layer.send(name, {"type": "chat.message", "text": "x" * spec["size"], "number": number})
            message = await layer.receive(name)
            if message["number"] != number:
                raise ValueError(f"{name} received {message['number']} where {number} was due")
            done += 1
            await asyncio.sleep(0)  # where neither call has to wait, one task would keep the loop for itself

    say(ready=True)
    await hear()
    tasks = [asyncio.ensure_future(one(name)) for name in names]
    failed = asyncio.ensure_future(asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION))
    clock = asyncio.get_running_loop().time
    await asyncio.wait([failed], timeout=spec["warmup"])
    began, before = clock(), done
    await asyncio.wait([failed], timeout=spec["seconds"])
    if failed.done():
        for task in (await failed)[0]:
            task.result()  # raises
    say(rate=(done - before) / (clock() - began))
