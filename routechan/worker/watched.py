"""A dispatcher that tells of each message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..dispatch import Dispatcher
from ..message import Message
from ..routing import Router
from ..run import Run

logger = logging.getLogger("routechan")

Watch = Callable[[str, Message], object]


def watched_dispatcher(router: Router, watch: Watch | None, **options: Any) -> Dispatcher:
    """A dispatcher with these options of ``Dispatcher``; watched where there is a ``watch``."""
    return Dispatcher(router, **options) if watch is None else _WatchedDispatcher(router, watch, **options)


class _WatchedDispatcher(Dispatcher):
    """Calls ``watch(channel name, message)`` for each message that has a consumer, before it runs (WK-12).

    Lifetime: process.
    """

    def __init__(self, router: Router, watch: Watch, **options: Any) -> None:
        super().__init__(router, **options)
        self._watch = watch

    def match(self, message: Message) -> Run | None:
        run = super().match(message)
        if run is not None:
            try:
                self._watch(message.channel_name, message)
            except Exception:  # it only watches: the message is not lost for its sake
                logger.exception(
                    "The worker's callback failed on a message on %s", message.channel_name, extra=run.about()
                )
        return run
