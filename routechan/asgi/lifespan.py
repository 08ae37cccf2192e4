"""The lifespan protocol, for this application and for the HTTP application inside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from .translation import Event, Scope
from .writer import Receive, Send

logger = logging.getLogger("routechan")

ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]
Step = Callable[[], Awaitable[object]]


async def serve_lifespan(
    start: Step, stop: Step, inner: ASGIApplication | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run the lifespan protocol: our own start and stop around those of the inner application.

    Args:
        start: Starts this application; what it raises is reported to the server as a failed startup.
        stop: Stops this application.
        inner: The HTTP application, if there is one. It may not support lifespan.
        scope: The ASGI scope.
        receive: The ASGI ``receive``.
        send: The ASGI ``send``.
    """
    inside = _Inner(inner, scope)
    await receive()
    try:
        await start()
        try:
            await inside.step("startup")
        except Exception:
            await stop()
            raise
    except Exception as error:
        logger.exception("Starting failed")
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        try:
            await inside.step("shutdown")
        finally:
            await stop()
    except Exception as error:
        logger.exception("Stopping failed")
        await send({"type": "lifespan.shutdown.failed", "message": str(error)})
        return
    await send({"type": "lifespan.shutdown.complete"})


class _Inner:
    """The inner application, which may not support lifespan; Django's does not. Lifetime: process."""

    def __init__(self, application: ASGIApplication | None, scope: Scope) -> None:
        self._application = application
        self._scope = scope
        self._to: asyncio.Queue[Event] = asyncio.Queue()
        self._from: asyncio.Queue[Event] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def step(self, name: str) -> None:
        """Have it do ``startup`` or ``shutdown``; raises ``RuntimeError`` if it reports a failure."""
        if self._application is None:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._run(self._application))
        if self._task.done():
            return
        self._to.put_nowait({"type": f"lifespan.{name}"})
        answer = asyncio.create_task(self._from.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            return
        event: Any = answer.result()
        if event["type"].endswith(".failed"):
            raise RuntimeError(event.get("message") or f"the HTTP application failed its {name}")

    async def _run(self, application: ASGIApplication) -> None:
        try:
            await application(self._scope, self._to.get, self._from.put)
        except Exception as error:  # raising is how an application refuses lifespan (ASGI)
            logger.debug("The HTTP application takes no part in lifespan: %r", error)
