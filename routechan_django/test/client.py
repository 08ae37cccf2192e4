"""``Client``: sends messages to the consumers of the project's routing (TC-07 to TC-17)."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from routechan import testing
from routechan.consumers.dispatch import Invocation
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.layers.base import Delivery
from routechan.routing import Router
from routechan.testing.recording import RecordingDispatcher

from ..commits import call_committed_in_test
from ..signals import hooks


class Client(testing.Client):
    """A client of one connection, whose messages are taken by the consumers of the layer's routing. Lifetime: test.

    The signals are sent around consumers, and database connections stay open. Async consumers use the database in the
    test's own thread, so they are inside its transaction.

    Args:
        alias: The alias of the layer.
    """

    def __init__(self, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        self._prepare(alias)

    @property
    def router(self) -> Router:
        """The router of the layer."""
        router: Router = self.channel_layer.router
        return router

    def _receive(self, channel: str) -> Delivery | None:
        call_committed_in_test()
        return super()._receive(channel)

    def join_group(self, group_name: str) -> None:
        """Add this client's reply channel to the group ``group_name``; what was told before is not for it."""
        call_committed_in_test()
        super().join_group(group_name)

    def _recording(self, steps: int | None) -> RecordingDispatcher:
        return _Recording(
            self.router,
            run_async=_run_in_this_thread,
            run_sync=self._run_sync,
            steps=steps,
            **hooks(type(self), keep_connections=True),
        )

    async def _run_sync(self, function: Any, *args: Any) -> Any:
        return await sync_to_async(function)(*args)


class _Recording(RecordingDispatcher):
    """Runs one message; a view that its consumer calls leaves the test's connections open. Lifetime: message."""

    def perform(self, invocation: Invocation) -> None:
        with _requests_keep_connections():
            super().perform(invocation)

    async def aperform(self, invocation: Invocation) -> None:
        with _requests_keep_connections():
            await super().aperform(invocation)


@contextmanager
def _requests_keep_connections() -> Iterator[None]:
    """Keep Django's own receiver from closing them when a ``ViewConsumer`` runs a request, as Django's client does."""
    connected = [signal for signal in (request_started, request_finished) if signal.disconnect(close_old_connections)]
    try:
        yield
    finally:
        for signal in connected:
            signal.connect(close_old_connections)


def _run_in_this_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine; the functions that it passes to ``sync_to_async`` run in the thread of the test."""

    async def run() -> None:
        await coroutine

    async_to_sync(run)()
