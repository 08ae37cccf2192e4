"""One message and its consumer: find it, run it, act on how it ended.

The one place that knows what a consumer may raise and what follows from it (``consumer-api`` 3.2). The server
process, workers and the test client run every message through it. No exception of a consumer leaves it: an
error is the outcome of one message, which is logged and handed to ``failed``.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from time import perf_counter
from types import TracebackType
from typing import Any

from .. import outbox
from ..concurrency import ends_task, in_context, maybe_await
from ..encoding import Content
from ..exceptions import ChannelSocketException, ConsumeLater, DenyConnection
from ..inspection import Consumer, Kind, kind_of_unfinished, name_that_thing
from ..interfaces import FAILED, QUESTION, SOCKET_CHANNELS, UNROUTED, first_of
from ..message import Message
from ..outbox import Outbox
from ..routing import Matched, Router
from ..telemetry import tracing
from ..telemetry.counters import BOUNDS, counters
from ..telemetry.log_fields import message_log_fields
from .failures import FailureLog
from .steps import StepHooks, aiterate, iterate
from .timeouts import check_timeout, within
from .unanswered import end_question, without_route

#: How often ``ConsumeLater`` puts one message back before it is dropped (WK-21).
MESSAGE_RETRIES = 10


class Invocation(Outbox):
    """One try to run a consumer on a message, and the outbox of what it sends. Lifetime: message.

    It is the context manager around every consumer, plain or async, stream or not: entering it makes it the
    current outbox and begins what is counted and traced; leaving it settles the outcome, closes the outbox and
    swallows the consumer's exception. Delivering the outbox is left to the caller.

    ``context`` has the context variables that the consumer runs with, on whatever threads and in whatever tasks: a
    copy of those in which the invocation was made. What the consumer sets in them ends with it.

    Args:
        dispatcher: whose hooks are called.
        message: the message to consume.
        matched: the consumer, its keyword arguments and its kind, as the router found them.
        trace: the trace context that came with the message (see ``telemetry.tracing``), or None.
    """

    __slots__ = (
        "_began",
        "_span",
        "_token",
        "cancellable",
        "consumer",
        "context",
        "dispatcher",
        "failed",
        "figures",
        "kind",
        "kwargs",
        "later",
        "message",
        "trace",
        "unfinished",
    )

    def __init__(self, dispatcher: Dispatcher, message: Message, matched: Matched, trace: Any = None) -> None:
        self.entries = []
        self.closed = False
        self.message = message
        self.consumer, self.kwargs, self.kind, self.figures = matched
        self.trace = trace
        self.context = copy_context()
        self.failed = False  # the consumer raised an error of its own
        self.later = False  # the consumer asked for another try
        self.cancellable = False  # it runs in a task, whose cancelling is not the consumer's error
        self.unfinished: Any = None  # what the consumer returned, to be run to its end elsewhere
        self.dispatcher = dispatcher
        self._began = 0.0
        self._span: tracing.ConsumerSpan | None = None

    def __enter__(self) -> Invocation:
        self._token = outbox.current.set(self)
        self.unfinished = None
        self.figures.running[self] = self._began = self._began or perf_counter()
        if tracing.on():
            if self._span is None:
                self._span = tracing.ConsumerSpan(self.trace, self.log_fields())
            self._span.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        cancelled = error is not None and self.cancellable and ends_task(error)
        ended = self.unfinished is None
        try:
            if ended:
                if error is not None or self.dispatcher.finished is not None or QUESTION in self.message.content:
                    self.dispatcher.settle(self, None if cancelled else error)
                self.closed = True
        finally:
            outbox.current.reset(self._token)  # or it and its context would hold each other, for the garbage collector
            figures = self.figures
            figures.running.pop(self, None)
            if ended:  # counted here, not in a method of the figures: this runs for each message
                seconds = perf_counter() - self._began
                figures.buckets[bisect_left(BOUNDS, seconds)] += 1
                figures.seconds += seconds
            if self._span is not None:
                self._leave_span(self._span)
        return not cancelled

    def _leave_span(self, span: tracing.ConsumerSpan) -> None:
        span.leave()
        if self.unfinished is None:
            span.end()

    def start(self) -> Any:
        """The result of calling the consumer: for an ``async def`` or a generator, an object yet to be run."""
        started = self.dispatcher.started
        if started is not None:
            started()
        return self.consumer(self.message, **self.kwargs)

    def fail(self, error: BaseException) -> None:
        """Count and trace ``error`` as the consumer's."""
        self.failed = True
        self.figures.failures += 1
        if self._span is not None:
            self._span.failed(error)

    def log_fields(self) -> dict[str, Any]:
        """The fields of log records about this try."""
        return message_log_fields(self.message, self.consumer)

    def __str__(self) -> str:
        return f"{name_that_thing(self.consumer)} on {self.message.channel_name}"


class Dispatcher:
    """Runs messages through their consumers. Lifetime: process.

    Args:
        router: finds the consumer of a message.
        started: called before each consumer, in the thread that runs it.
        finished: called after each consumer, in the same thread, before its sends are delivered.
        failed: called with ``(message, consumer, error)`` after a consumer raised.
        callback: called with ``(channel name, message)`` for each message that has a consumer, before it runs (WK-12).
        retries: how often ``ConsumeLater`` puts one message back before it is dropped (WK-21).
        step_hooks: what is done around each step of a consumer.
        timeout: seconds that one run of a consumer may take, unless it is a generator; None for any time. An async one
            is cancelled, the client of a plain one is given up (see ``timeouts``).

    What the hooks raise is logged.

    Raises:
        ValueError: ``timeout`` is no number of seconds above 0.
    """

    def __init__(
        self,
        router: Router,
        *,
        started: Callable[[], object] | None = None,
        finished: Callable[[], object] | None = None,
        failed: Callable[[Message, Consumer, BaseException], object] | None = None,
        callback: Callable[[str, Message], object] | None = None,
        retries: int = MESSAGE_RETRIES,
        step_hooks: StepHooks | None = None,
        timeout: float | None = None,
    ) -> None:
        check_timeout(timeout)
        self.timeout = timeout
        self.router = router
        self.retries = retries
        self.started = started
        self.finished = finished
        self._failed = failed
        self._callback = callback
        self._step_hooks = step_hooks
        self._log = FailureLog()

    # Find

    def match(self, message: Message, trace: Any = None) -> Invocation | None:
        """The invocation of the message's consumer, or None, logged, where no route takes it (RT-36).

        Args:
            message: the message to consume.
            trace: the trace context that came with it, or None.
        """
        counters.received[message.channel_name] += 1
        try:
            invocation = self.find(message, trace)
        except BaseException:  # a custom route object may raise anything; it costs this message only
            counters.unrouted += 1
            self._log.routing_raised(message)
            return None
        if invocation is None:
            counters.unrouted += 1
            self._log.unrouted(message, logging.DEBUG if UNROUTED in (self.unrouted(message) or ()) else logging.ERROR)
        elif self._callback is not None:
            try:
                self._callback(message.channel_name, message)
            except BaseException:  # it only watches: the message is not lost for its sake
                self._log.hook_raised(invocation, "The worker's callback failed before")
        return invocation

    def find(self, message: Message, trace: Any = None) -> Invocation | None:
        """The invocation of the message's consumer, or None where no route takes it.

        Args:
            message: the message to consume.
            trace: the trace context that came with it, or None.

        Raises:
            Exception: whatever a route object of the user's own raises.
        """
        matched = self.router.find(message)
        if matched is None:
            return None
        if "__retries__" in message.content and message.content["__retries__"] == self.retries:
            message.__dict__["__doomed__"] = True  # the last try (WK-10)
        return Invocation(self, message, matched, trace)

    def unrouted(self, message: Message) -> Content | None:
        """What to say to the reply channel of ``message``, which no route takes; None where nobody waits for it."""
        return without_route(message)

    def watches_ends(self) -> bool:
        """Whether the end of a connection matters, whatever its routes are."""
        return self._step_hooks is not None and self._step_hooks.watches_ends()

    def refusal(self, message: Message) -> Content | None:
        """What to say to the connect of a socket that no route could ever serve (RT-32), which is logged; else None.

        Asked for events of a relaying server, which does not know the routes and tells its client the reason.

        Args:
            message: The event.
        """
        if message.channel_name != SOCKET_CHANNELS[0] or self.router.serves(SOCKET_CHANNELS, message.content):
            return None
        reason = f"no route for {', '.join(SOCKET_CHANNELS)} matches this path"
        self._log.refused(message, reason)
        return {FAILED: reason}

    # Run: each of these leaves what the consumer sent last in the outbox, to be flushed by the caller

    def call(self, invocation: Invocation) -> Any:
        """Run the plain consumer of ``invocation`` on this thread.

        Returns:
            None; or the coroutine or generator that it returned, which the caller has to run to its end: a plain
            decorator of somebody else's around an ``async def`` returns what that gave it.
        """
        invocation.context.run(self._call, invocation)
        return invocation.unfinished

    def _call(self, invocation: Invocation) -> None:
        hooks = self._step_hooks
        if hooks is not None:
            hooks.enter(invocation)
        with invocation:
            result = invocation.start()
            if result is not None and kind_of_unfinished(result) is not None:
                invocation.unfinished = result
        if hooks is not None:
            hooks.leave(invocation)

    def acall(
        self, invocation: Invocation, coroutine: Coroutine[Any, Any, Any] | None = None
    ) -> Awaitable[None] | None:
        """Run an async consumer in this task.

        Args:
            invocation: of the consumer.
            coroutine: what the consumer returned, where it has been called already.

        Returns:
            What is awaited, in this task, for the rest of it; None where it has ended.
        """
        invocation.cancellable = True
        if self.timeout is not None:
            coroutine = within(self.timeout, invocation, coroutine)
        return in_context(invocation.context, self._acall(invocation, coroutine))

    async def _acall(self, invocation: Invocation, coroutine: Coroutine[Any, Any, Any] | None) -> None:
        hooks = self._step_hooks
        if hooks is not None:
            pending = hooks.aenter(invocation)
            if pending is not None:
                await pending
        try:
            with invocation:
                await (invocation.start() if coroutine is None else coroutine)
        finally:
            if hooks is not None:
                pending = hooks.aleave(invocation)
                if pending is not None:
                    await pending

    def iterate(self, invocation: Invocation, generator: Any, emit: Callable[[], bool]) -> None:
        """Run a generator consumer to its end on this thread.

        Args:
            invocation: of the consumer.
            generator: what the consumer returned, or None where it has yet to be called.
            emit: delivers the outbox after each step; the generator is closed when it returns False.
        """
        invocation.context.run(iterate, invocation, generator, emit, self._step_hooks)

    async def aiterate(self, invocation: Invocation, generator: Any, emit: Callable[[], Awaitable[bool]]) -> None:
        """``iterate`` for an async generator, in this task; cancelling the task ends it too.

        Args: ``invocation``, ``generator`` and ``emit`` as those of ``iterate``; ``emit`` is awaited.
        """
        invocation.cancellable = True
        await maybe_await(in_context(invocation.context, aiterate(invocation, generator, emit, self._step_hooks)))

    def run(
        self,
        invocation: Invocation,
        *,
        run_async: Callable[[Coroutine[Any, Any, None]], object],
        emit: Callable[[], bool],
        aemit: Callable[[], Awaitable[bool]],
    ) -> None:
        """Run a consumer of any kind to its end, for callers that may wait: the worker of 1.x and the test client.

        Args:
            invocation: of the consumer.
            run_async: runs a coroutine to its end somewhere, and waits for it.
            emit: as that of ``iterate``.
            aemit: as that of ``aiterate``.
        """
        kind, unfinished = invocation.kind, None
        if kind is Kind.PLAIN:
            unfinished = self.call(invocation)
            if unfinished is None:
                return
            kind = kind_of_unfinished(unfinished) or kind
        if kind is Kind.STREAM:
            self.iterate(invocation, unfinished, emit)
        elif kind is Kind.ASYNC:
            run_async(self._acall_to_end(invocation, unfinished))
        else:
            run_async(self.aiterate(invocation, unfinished, aemit))

    async def _acall_to_end(self, invocation: Invocation, coroutine: Coroutine[Any, Any, Any] | None) -> None:
        await maybe_await(self.acall(invocation, coroutine))

    # Settle

    def settle(self, invocation: Invocation, error: BaseException | None) -> None:
        """Act on how the consumer ended, then call ``finished``; both inside the outbox (0.1, steps 9 and 10).

        Args:
            invocation: of the consumer.
            error: what it raised, or None.
        """
        if error is not None:
            try:
                self._settle_error(invocation, error)
            except BaseException as failure:
                self._fail(invocation, failure)
        if not invocation.later:
            end_question(invocation, "Its consumer has ended without an answer.")
        if self.finished is not None:
            try:
                self.finished()
            except BaseException as failure:
                if failure.__context__ is error:  # it came after the consumer's error, not of it
                    failure.__context__ = None
                self.report(invocation, failure)

    def _settle_error(self, invocation: Invocation, error: BaseException) -> None:
        message = invocation.message
        if isinstance(error, ConsumeLater):
            invocation.later = True
        elif isinstance(error, DenyConnection):
            if message.channel_name != "websocket.connect" or message.reply_channel is None:
                raise ValueError(
                    "DenyConnection refuses a handshake; raise it only on websocket.connect, and close an open "
                    'socket with message.reply_channel.send({"close": True})'
                ) from error
            invocation.add(message.reply_channel, {"close": True})
        elif isinstance(error, ChannelSocketException):
            error.run(message)
        else:
            self._fail(invocation, error)

    def _fail(self, invocation: Invocation, error: BaseException) -> None:
        self.report(invocation, error)
        self.answer_failure(invocation, f"{name_that_thing(invocation.consumer)} raised {error!r}")

    def answer_failure(self, invocation: Invocation, reason: str) -> None:
        """Have the client refused that waits for ``invocation``, whose consumer failed, if nobody has answered it yet.

        Args:
            invocation: of the consumer.
            reason: why, for whoever develops the site.
        """
        message = invocation.message
        if first_of(message.channel_name, message.content) and message.reply_channel is not None:
            invocation.add(message.reply_channel, {FAILED: reason})
        end_question(invocation, "Its consumer has failed.")

    def report(self, invocation: Invocation, error: BaseException) -> None:
        """Log ``error`` as the consumer's, and call ``failed``.

        Args:
            invocation: of the consumer.
            error: what it, a hook or the exception's own action raised.
        """
        invocation.fail(error)
        self._log.raised(invocation, error)
        if self._failed is not None:
            try:
                self._failed(invocation.message, invocation.consumer, error)
            except BaseException:
                self._log.hook_raised(invocation, "Error while reporting a failure of")

    def refuse(self, invocation: Invocation, error: Exception) -> None:
        """Treat the consumer of ``invocation``, which could not be started, as if it had raised ``error``."""
        self._fail(invocation, error)
        invocation.closed = True

    def may_retry(self, invocation: Invocation) -> bool:
        """Whether ``invocation``, which asked for another try, gets one; False, logged, when it had all (WK-21).

        It counts the tries in the message's content, as 1.x did.
        """
        content = invocation.message.content
        tried = content.get("__retries__", 0)
        content["__retries__"] = tried + 1 if isinstance(tried, int) else 1
        if content["__retries__"] <= self.retries:
            return True
        self._log.dropped(invocation, self.retries)
        self.answer_failure(invocation, f"{invocation} asked for another try {self.retries} times")
        return False
