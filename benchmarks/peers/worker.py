"""A process of the benchmark: ``python worker.py SPECIFICATION``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import couple
import in_flight
import members
from makers import MAKERS

WORK = {
    "in flight": in_flight.pairs,
    "receive as members": members.receive,
    "send to group": members.send,
    "receive": couple.receive,
    "send": couple.send,
}


async def work(spec: dict[str, Any]) -> None:
    await WORK[spec["work"]](MAKERS[spec["layer"]](spec["url"]), spec)
    # No tidying up: what a layer does at its end, and complains about, is not what is measured.
    os._exit(0)


if __name__ == "__main__":
    specification = json.loads(sys.argv[1])
    if specification["loop"] == "uvloop":
        import uvloop

        uvloop.run(work(specification))
    else:
        asyncio.run(work(specification))
