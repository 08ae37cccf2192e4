"""One try to run a consumer on a message: what it sent, and what is counted and traced of it."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from .describe import name_that_thing
from .kinds import Consumer
from .message import Message
from .observe import tracing
from .observe.counters import figures_of
from .observe.failures import about_message
from .outbox import Outbox


class Run(Outbox):
    """One try to run a consumer on a message, and the outbox of what it sends. Lifetime: message.

    ``carried`` is the trace that came with the message.
    """

    __slots__ = ("_began", "_figures", "_span", "carried", "consumer", "kwargs", "later", "message")

    def __init__(self, message: Message, consumer: Consumer, kwargs: dict[str, Any], carried: Any = None) -> None:
        self.entries = []
        self.closed = False
        self.message = message
        self.consumer = consumer
        self.kwargs = kwargs
        self.later = False  # the consumer asked for another try
        self.carried = carried
        self._figures = figures_of(consumer)
        self._began = 0.0
        self._span: tracing.ConsumerSpan | None = None

    # What is counted and traced of it: from ``begin`` to ``end``, with at most one ``leave`` between

    def begin(self) -> None:
        self._figures.running[self] = self._began = self._began or perf_counter()
        if tracing.on():
            if self._span is None:
                self._span = tracing.ConsumerSpan(self.carried, self.about())
            self._span.enter()

    def leave(self) -> None:
        """It is put aside before its end, to be gone on with elsewhere, or not."""
        self._figures.running.pop(self, None)
        if self._span is not None:
            self._span.leave()

    def end(self) -> None:
        figures = self._figures
        figures.running.pop(self, None)
        figures.add(perf_counter() - self._began)
        if self._span is not None:
            self._span.leave()
            self._span.end()

    def failed(self, error: BaseException) -> None:
        self._figures.failures += 1
        if self._span is not None:
            self._span.failed(error)

    def about(self) -> dict[str, Any]:
        return about_message(self.message, self.consumer)

    def __str__(self) -> str:
        return f"{name_that_thing(self.consumer)} on {self.message.channel_name}"
