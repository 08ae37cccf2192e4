"""Generators: what they yield is sent at once, while they go on running."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from routechan import Message

logger = logging.getLogger("ticker")

NUMBERS = 20
INTERVAL = 0.5  # seconds


def count(message: Message) -> Iterator[dict[str, Any]]:
    """On a thread of its own, so it may sleep."""
    yield {"accept": True}
    try:
        for number in range(1, NUMBERS + 1):
            yield {"text": json.dumps({"number": number, "of": NUMBERS})}
            time.sleep(INTERVAL)
        yield {"text": json.dumps({"finished": True})}
    finally:  # also when the browser leaves in the middle
        logger.info("count() has ended")


async def acount(message: Message) -> AsyncIterator[dict[str, Any]]:
    """The same on the event loop."""
    yield {"accept": True}
    try:
        for number in range(1, NUMBERS + 1):
            yield {"text": json.dumps({"number": number, "of": NUMBERS})}
            await asyncio.sleep(INTERVAL)
        yield {"text": json.dumps({"finished": True})}
    finally:
        logger.info("acount() has ended")


def answer(message: Message) -> None:
    """Later events of the socket do not wait for the generator."""
    message.reply_channel.send({"text": json.dumps({"answer": message.get("text")})})
