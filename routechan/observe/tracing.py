"""Spans of OpenTelemetry around consumers and sends, where its API is installed.

A message that is sent in a trace carries it along, under ``CARRIED``, to the consumer that takes it, in whatever
process; it is taken out before a consumer sees the message. Attributes are those of the semantic conventions for
messaging.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Any

from ..encoding import Content

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError:  # an extra

    def on() -> bool:
        """Whether there is anything to be traced; without it, nothing else here is to be called but ``take``."""
        return False

else:
    _tracer = trace.get_tracer("routechan")

    def on() -> bool:
        """Whether there is anything to be traced; without it, nothing else here is to be called but ``take``.

        Without a provider the API would make spans that nobody ever sees, for microseconds each; its public function
        for that question takes half of one.
        """
        return trace._TRACER_PROVIDER is not None


#: The key under which a message carries its trace. Connections pass it over.
CARRIED = "__trace__"

SYSTEM = "routechan"


class ConsumerSpan:
    """The span of one run of a consumer. Lifetime: the run, which may be left and gone on with."""

    __slots__ = ("_span", "_token")

    def __init__(self, carried: Any, about: dict[str, Any]) -> None:
        """``carried`` came with the message; ``about`` has the fields of ``failures.about``."""
        channel = about["channel"]
        attributes = _attributes(channel, "process")
        attributes["code.function.name"] = about["consumer"]
        attributes["messaging.message.id"] = about["message_id"]
        if about["connection"] is not None:
            attributes["messaging.message.conversation_id"] = about["connection"]
        parent = propagate.extract(carried) if isinstance(carried, dict) else None
        self._span = _tracer.start_span(
            f"process {channel}", context=parent, kind=SpanKind.CONSUMER, attributes=attributes
        )
        self._token: Any = None

    def enter(self) -> None:
        """What runs here from now on, until ``leave``, is in this span."""
        self._token = context.attach(trace.set_span_in_context(self._span))

    def leave(self) -> None:
        context.detach(self._token)

    def end(self) -> None:
        self._span.end()

    def failed(self, error: BaseException) -> None:
        _failed(self._span, error)


class Sending:
    """The span of one send, and what travels. With ``with``, or ``end`` it."""

    __slots__ = ("_span", "content")

    def __init__(self, target: object, content: Content, *, group: bool = False, parent: Any = None) -> None:
        self.content = content
        name = str(target)  # a bad one is for the layer to refuse
        attributes = _attributes(name, "send")
        temporary = not group and ("!" in name or "?" in name)
        if temporary:
            attributes["messaging.destination.temporary"] = True
        # Names of groups and of connections are too many to name spans after them.
        short = "group" if group else "(temporary)" if temporary else name
        self._span = _tracer.start_span(f"send {short}", context=parent, kind=SpanKind.PRODUCER, attributes=attributes)
        if not temporary:  # those are connections and mailboxes: no consumer gets it from there
            carried: dict[str, str] = {}
            propagate.inject(carried, context=trace.set_span_in_context(self._span, parent))
            if carried:
                self.content = {**content, CARRIED: carried}

    def __enter__(self) -> Content:
        return self.content

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        if error is not None:
            _failed(self._span, error)
        self._span.end()

    def end_after(self, pending: Awaitable[None] | None) -> Awaitable[None] | None:
        """End with what a send has returned; it is given back, to be awaited."""
        if pending is None:
            self.end()
        elif asyncio.isfuture(pending):
            pending.add_done_callback(self._done)
        else:
            return self._await(pending)
        return pending

    def _done(self, future: asyncio.Future[None]) -> None:
        self.end(None if future.cancelled() else future.exception())

    async def _await(self, pending: Awaitable[None]) -> None:
        with self:
            await pending


def here() -> Any:
    """The trace that a send from here belongs to, for ``Sending`` later and elsewhere."""
    return context.get_current()


def take(content: Content) -> Any:
    """What ``content`` carries, which is taken out; None without."""
    return content.pop(CARRIED, None)


def _attributes(destination: str, operation: str) -> dict[str, Any]:
    return {
        "messaging.system": SYSTEM,
        "messaging.destination.name": destination,
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
    }


def _failed(span: Any, error: BaseException) -> None:
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
    span.set_attribute("error.type", type(error).__qualname__)
