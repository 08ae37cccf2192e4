"""An echo without the library, to tell what a server does from what its application does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answers as the consumers of ``app.py`` do."""
    event = await receive()
    while event["type"].startswith("lifespan."):
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
        event = await receive()
    await send({"type": "websocket.accept"})
    with suppress(Exception):  # whatever the server raises where the client has left
        while (event := await receive())["type"] == "websocket.receive":
            text, data = event.get("text"), event.get("bytes")
            if text or data:
                await send({"type": "websocket.send", **({"text": text} if text else {"bytes": data})})
            else:
                await send({"type": "websocket.send", "text": "empty bytes" if text is None else "empty text"})
