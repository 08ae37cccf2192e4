"""``Client``: sends messages to the consumers of the project's routing (TC-07 to TC-17)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from routechan import testing
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.routing import Router
from routechan.testing.trial import Trial

from ..connections import left_open
from ..signals import hooks


class Client(testing.Client):
    """``Client(alias="default")``. Lifetime: test.

    Consumers are those of the layer's routing, with the signals around them; database connections stay open. Async
    consumers reach the database in the test's own thread, and so inside its transaction.
    """

    def __init__(self, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        self._prepare(alias)

    @property
    def router(self) -> Router:
        router: Router = self.channel_layer.router
        return router

    def _trial(self, steps: int | None) -> Trial:
        sent = hooks(type(self))
        return Trial(
            self.router,
            run_async=_run_in_this_thread,
            run_sync=self._run_sync,
            steps=steps,
            started=_keeping_connections(sent["started"]),
            finished=_keeping_connections(sent["finished"]),
            failed=sent["failed"],
        )

    async def _run_sync(self, function: Any, *args: Any) -> Any:
        return await sync_to_async(function)(*args)


def _keeping_connections(send: Callable[[], object]) -> Callable[[], object]:
    def keep() -> None:
        with left_open():
            send()

    return keep


def _run_in_this_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine; what it gives to ``sync_to_async`` comes back to the thread of the test."""

    async def run() -> None:
        await coroutine

    async_to_sync(run)()
