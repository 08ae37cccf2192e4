"""A group: one process holds all its members, another one sends."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from talk import Acks, hear, say

GROUP = "members"
AT_ONCE = 20
PATIENCE = 10.0
LEAST_ROUNDS = 5


async def receive(layer: Any, spec: dict[str, Any]) -> None:
    """A byte to ``ack`` whenever a round has reached all."""
    members, ack = spec["members"], spec["ack"]
    names = [await layer.new_channel() for _ in range(members)]
    for start in range(0, members, AT_ONCE):
        await asyncio.gather(*(layer.group_add(GROUP, name) for name in names[start : start + AT_ONCE]))
    received = numbers = 0

    async def member(name: str) -> None:
        nonlocal received, numbers
        while True:
            message = await layer.receive(name)
            numbers += message["round"]
            received += 1
            if not received % members:
                os.write(ack, b".")

    tasks = [asyncio.ensure_future(member(name)) for name in names]
    await asyncio.sleep(0.1)  # so that all wait when the first message comes
    say(ready=True)
    stop = asyncio.ensure_future(hear())
    failed = asyncio.ensure_future(asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION))
    await asyncio.wait([stop, failed], return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        for task in (await failed)[0]:
            task.result()  # raises
    say(received=received, numbers=numbers)


async def send(layer: Any, spec: dict[str, Any]) -> None:
    """``ahead`` rounds may be on the way; the rate counts those that reached all members.

    ``pace``: seconds from one send to the next, 0 for as fast as it goes.
    """
    acks = Acks(spec["ack"])
    ahead, pace, sent, missed = spec["ahead"], spec["pace"], 0, 0
    clock = asyncio.get_running_loop().time

    async def rounds(seconds: float, least: int) -> tuple[int, float]:
        nonlocal sent, missed
        began, before, first = clock(), acks.count, sent
        while sent - first < least or clock() - began < seconds:
            await layer.group_send(GROUP, {"type": "chat.message", "text": "x" * spec["size"], "round": sent})
            sent += 1
            if not await acks.at_least(sent - missed - ahead + 1, PATIENCE):
                missed += 1
            if pace:
                await asyncio.sleep(max(0.0, began + (sent - first) * pace - clock()))
        while not await acks.at_least(sent - missed, PATIENCE):
            missed += 1
        return acks.count - before, clock() - began

    await rounds(spec["warmup"], 1)
    say(ready=True)
    await hear()
    first = sent
    complete, seconds = await rounds(spec["seconds"], LEAST_ROUNDS)
    say(rate=complete * (1 if pace else spec["members"]) / seconds, sent=sent, measured=sent - first)
