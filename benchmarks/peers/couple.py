"""Two processes: one sends to a channel of the other."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from talk import Acks, hear, say


async def receive(layer: Any, spec: dict[str, Any]) -> None:
    """A byte to ``ack`` for each message."""
    name = await layer.new_channel()
    received = 0

    async def reader() -> None:
        nonlocal received
        while True:
            message = await layer.receive(name)
            if len(message["text"]) != spec["size"]:
                raise ValueError(f"{name} received a text of {len(message['text'])} where {spec['size']} was due")
            received += 1
            os.write(spec["ack"], b".")

    reading = asyncio.ensure_future(reader())
    await asyncio.sleep(0.1)  # so that it waits when the first message comes
    say(ready=True, name=name)
    stop = asyncio.ensure_future(hear())
    await asyncio.wait([stop, reading], return_when=asyncio.FIRST_COMPLETED)
    if reading.done():
        reading.result()  # raises
    say(received=received)


async def send(layer: Any, spec: dict[str, Any]) -> None:
    """``window`` messages are on the way at any time."""
    acks = Acks(spec["ack"])
    sent = 0
    content = {"type": "chat.message", "text": "x" * spec["size"]}

    async def sender() -> None:
        nonlocal sent
        while True:
            pending = []
            while sent - acks.count < spec["window"]:
                sent += 1
                pending.append(layer.send(spec["name"], content))
            await asyncio.gather(*pending)
            await acks.at_least(sent - spec["window"] + 1, 60)

    say(ready=True)
    await hear()
    clock = asyncio.get_running_loop().time
    sending = asyncio.ensure_future(sender())
    await asyncio.wait([sending], timeout=spec["warmup"])
    began, before = clock(), acks.count
    await asyncio.wait([sending], timeout=spec["seconds"])
    if sending.done():
        sending.result()  # raises
    say(rate=(acks.count - before) / (clock() - began))
