"""``Client``: sends messages to the consumers of the project's routing (TC-07 to TC-17)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from routechan import testing
from routechan.kinds import Consumer
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.message import Message
from routechan.routing import Router
from routechan.testing.trial import Trial

from ..connections import watch_connections
from ..signals import consumer_failed, consumer_finished, consumer_started

#: How ``connections`` knows its receiver.
_CLOSE = "routechan_close_old_connections"


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
        sender = type(self)

        def failed(message: Message, consumer: Consumer, error: BaseException) -> object:
            return consumer_failed.send(sender, message=message, consumer=consumer, exception=error)

        return Trial(
            self.router,
            run_async=_run_in_this_thread,
            run_sync=self._run_sync,
            steps=steps,
            started=_keeping_connections(functools.partial(consumer_started.send, sender)),
            finished=_keeping_connections(functools.partial(consumer_finished.send, sender)),
            failed=failed,
        )

    async def _run_sync(self, function: Any, *args: Any) -> Any:
        return await sync_to_async(function)(*args)


def _keeping_connections(send: Callable[[], object]) -> Callable[[], object]:
    """Send a signal with all its receivers but the one that closes database connections: these are the test's."""

    def keep() -> None:
        watched = [signal for signal in (consumer_started, consumer_finished) if signal.disconnect(dispatch_uid=_CLOSE)]
        try:
            send()
        finally:
            if watched:
                watch_connections()

    return keep


def _run_in_this_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine; what it gives to ``sync_to_async`` comes back to the thread of the test."""

    async def run() -> None:
        await coroutine

    async_to_sync(run)()
