"""What a process holds, as it says itself: what stays behind when its clients have left is found so."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import urllib.request
from typing import Any

from .processes import PATIENCE


def held() -> dict[str, int]:
    """Of this process: open descriptors, tasks of the running event loop, and objects that may be in cycles."""
    gc.collect()
    return {
        "descriptors": len(os.listdir("/dev/fd")),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
    }


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that answers each request with what its process holds."""
    body = json.dumps(held()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


def ask(port: int) -> dict[str, int]:
    """What the process holds that answers on ``port`` with ``tell``."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/held/", timeout=PATIENCE) as response:
        found: dict[str, int] = json.load(response)
        return found
