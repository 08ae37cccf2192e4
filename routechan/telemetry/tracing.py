"""Spans of OpenTelemetry around consumers and sends, where its API is installed.

A message that is sent in a trace carries its context along, in the header ``TRACE``, to the consumer that takes it, in
whatever process. Attributes are those of the semantic conventions for messaging.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable
from types import TracebackType
from typing import Any

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError:  # an extra

    def on() -> bool:
        """Whether anything is traced.

        Where not, nothing else here may be called.
        """
        return False

else:
    _tracer = trace.get_tracer("routechan")

    #: Whether anything is traced: true where there is a provider. Where not, nothing else here may be called.
    #: Without a provider the API would make spans that nobody ever sees, for microseconds each. Its public function
    #: for this question takes half a microsecond, and this is asked for each message.
    on = functools.partial(getattr, trace, "_TRACER_PROVIDER", None)


#: The header under which a message carries its trace context.
TRACE = "trace"

SYSTEM = "routechan"


class ConsumerSpan:
    """The span of one invocation of a consumer. Lifetime: the invocation, which may be left and entered again.

    Args:
        carried: the trace context that came with the message, or None.
        fields: the fields of ``log_fields`` about it.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, carried: Any, fields: dict[str, Any]) -> None:
        channel = fields["channel"]
        attributes = _attributes(channel, "process")
        attributes["code.function.name"] = fields["consumer"]
        attributes["messaging.message.id"] = fields["message_id"]
        if fields["connection"] is not None:
            attributes["messaging.message.conversation_id"] = fields["connection"]
        parent = propagate.extract(carried) if isinstance(carried, dict) else None
        self._span = _tracer.start_span(
            f"process {channel}", context=parent, kind=SpanKind.CONSUMER, attributes=attributes
        )
        self._token: Any = None

    def enter(self) -> None:
        """Make this the current span here, until ``leave``."""
        self._token = context.attach(trace.set_span_in_context(self._span))

    def leave(self) -> None:
        """Make the span before it the current one again."""
        context.detach(self._token)

    def end(self) -> None:
        """End the span."""
        self._span.end()

    def failed(self, error: BaseException) -> None:
        """Record ``error`` as the outcome."""
        _failed(self._span, error)


class Sending:
    """The span of one send, and the headers that carry it.

    Use it with ``with``, or ``end`` it.

    Args:
        target: the name of the channel or group.
        group: whether it is a group.
        parent: the trace context that the send belongs to; None for the current one.
    """

    __slots__ = ("_span", "headers")

    def __init__(self, target: object, *, group: bool = False, parent: Any = None) -> None:
        self.headers: dict[str, Any] = {}
        name = str(target)  # the layer refuses a bad one
        attributes = _attributes(name, "send")
        temporary = not group and ("!" in name or "?" in name)
        if temporary:
            attributes["messaging.destination.temporary"] = True
        # Names of groups and of connections are too many to name spans after them.
        short = "group" if group else "(temporary)" if temporary else name
        self._span = _tracer.start_span(f"send {short}", context=parent, kind=SpanKind.PRODUCER, attributes=attributes)
        if not temporary:  # those are connections and mailboxes: no consumer takes the message from there
            carried: dict[str, str] = {}
            propagate.inject(carried, context=trace.set_span_in_context(self._span, parent))
            if carried:
                self.headers[TRACE] = carried

    def __enter__(self) -> dict[str, Any]:
        return self.headers

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """End the span; ``error`` is why the send failed."""
        if error is not None:
            _failed(self._span, error)
        self._span.end()

    def end_after(self, pending: Awaitable[None] | None) -> Awaitable[None] | None:
        """The outcome of a send, ``pending``, given back to be awaited; the span ends with it."""
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


def headers_to(channel: str) -> dict[str, Any]:
    """The headers of a message that leaves for ``channel`` now, with the trace of the running task."""
    with Sending(channel) as headers:
        return headers


def current_context() -> Any:
    """The trace context that a send from here belongs to, for ``Sending`` later and elsewhere."""
    return context.get_current()


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
