"""One message run through its consumer as production runs it, with its outcome recorded for a test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ..concurrency import maybe_await
from ..consumers.dispatch import Dispatcher, Invocation
from ..consumers.steps import StepHooks
from ..encoding import Content
from ..inspection import Kind, kind_of_unfinished, name_that_thing
from ..message import Message
from ..outbox import Sender, flush, flush_sync
from ..routing import Router

#: After so many yields a stream is taken to be endless.
STEP_LIMIT = 100

RunAsync = Callable[[Coroutine[Any, Any, None]], object]
RunSync = Callable[..., Awaitable[Any]]


class RecordingDispatcher(Dispatcher):
    """Runs one message and records its outcome: what production logs is raised to the test. Lifetime: message.

    Args:
        router: finds the consumer.
        run_async: runs a coroutine from plain code.
        run_sync: runs a plain function from async code.
        steps: after how many yields a stream is closed, as if its socket had been.
        started: as that of ``Dispatcher``.
        finished: as that of ``Dispatcher``.
        failed: as that of ``Dispatcher``.
        step_hooks: as that of ``Dispatcher``.
    """

    def __init__(
        self,
        router: Router,
        *,
        run_async: RunAsync,
        run_sync: RunSync,
        steps: int | None = None,
        started: Callable[[], object] | None = None,
        finished: Callable[[], object] | None = None,
        failed: Callable[..., object] | None = None,
        step_hooks: StepHooks | None = None,
    ) -> None:
        # With a hook every invocation is settled, so that this sees every outbox at its end.
        super().__init__(
            router, started=started, finished=finished or _do_nothing, failed=failed, step_hooks=step_hooks
        )
        self._run_async = run_async
        self._run_sync = run_sync
        self._steps = steps
        self._taken = 0
        self._result: Any = None
        self._errors: list[BaseException] = []

    def perform(self, invocation: Invocation) -> None:
        """Run the consumer of ``invocation``, of any kind, to its end."""
        self._record_result(invocation)
        self.run(
            invocation,
            run_async=self._run_async,
            emit=lambda: self._emit(invocation),
            aemit=lambda: self._aemit(invocation),
        )

    async def aperform(self, invocation: Invocation) -> None:
        """Run the consumer of ``invocation`` to its end, for an async test."""
        self._record_result(invocation)
        kind, unfinished = invocation.kind, None
        if kind is Kind.PLAIN:
            unfinished = await self._run_sync(self.call, invocation)
            if unfinished is None:
                return
            kind = kind_of_unfinished(unfinished) or kind
        if kind is Kind.STREAM:
            await self._run_sync(self.iterate, invocation, unfinished, lambda: self._emit(invocation))
        elif kind is Kind.ASYNC:
            await maybe_await(self.acall(invocation, unfinished))
        else:
            await self.aiterate(invocation, unfinished, lambda: self._aemit(invocation))

    def acall(
        self, invocation: Invocation, coroutine: Coroutine[Any, Any, Any] | None = None
    ) -> Awaitable[None] | None:
        """Run an async consumer, whose result is recorded."""
        return super().acall(invocation, None if coroutine is None else self._record_awaited(coroutine))

    def outcome(self) -> Any:
        """The value that the consumer returned (TC-11).

        Raises:
            BaseException: the first thing that went wrong.
        """
        if self._errors:
            raise self._errors[0]
        return self._result

    def _record_result(self, invocation: Invocation) -> None:
        """Have the result of the consumer recorded; only the call itself meets the stand-in for it."""
        consumer, kind = invocation.consumer, invocation.kind

        def record(message: Message, **kwargs: Any) -> Any:
            invocation.consumer = consumer
            result = consumer(message, **kwargs)
            if kind is Kind.ASYNC:
                return self._record_awaited(result)
            if kind is Kind.PLAIN and kind_of_unfinished(result) is None:
                self._result = result
            return result

        invocation.consumer = record

    async def _record_awaited(self, coroutine: Awaitable[Any]) -> None:
        self._result = await coroutine

    # A stream

    def _emit(self, invocation: Invocation) -> bool:
        self._record_sends(invocation)
        flush_sync(invocation)
        return self._wants_more(invocation)

    async def _aemit(self, invocation: Invocation) -> bool:
        self._record_sends(invocation)
        await maybe_await(flush(invocation))
        return self._wants_more(invocation)

    def _wants_more(self, invocation: Invocation) -> bool:
        self._taken += 1
        if self._steps is not None:
            return self._taken < self._steps
        if self._taken < STEP_LIMIT:
            return True
        self._errors.append(
            AssertionError(
                f"{name_that_thing(invocation.consumer)} yielded {STEP_LIMIT} times and goes on; say after how many "
                "yields it is to be closed, such as client.consume(channel, steps=3)"
            )
        )
        return False

    # What goes wrong

    def settle(self, invocation: Invocation, error: BaseException | None) -> None:
        """As in production; sends that fail are recorded from here on."""
        super().settle(invocation, error)
        self._record_sends(invocation)

    def report(self, invocation: Invocation, error: BaseException) -> None:
        """Record ``error`` in place of logging it."""
        self._errors.append(error)
        if self._failed is not None:
            try:
                self._failed(invocation.message, invocation.consumer, error)
            except (Exception, SystemExit) as failure:
                self._errors.append(failure)

    def answer_failure(self, invocation: Invocation, reason: str) -> None:
        """No answer for the client: the test gets the error itself."""

    def _record_sends(self, invocation: Invocation) -> None:
        invocation.entries = [(_RecordedSend(entry[0], self._errors), *entry[1:]) for entry in invocation.entries]


class _RecordedSend:
    """A send whose failure the test gets.

    A full channel is not tried again: in a test nobody reads it meanwhile.
    """

    def __init__(self, sender: Sender, errors: list[BaseException]) -> None:
        self._sender = sender
        self._errors = errors

    def send(self, content: Content, immediately: bool = False) -> None:
        try:
            self._sender.send(content, immediately=immediately)
        except Exception as error:
            self._errors.append(error)

    def post(self, content: Content) -> Awaitable[None] | None:
        try:
            pending = self._sender.post(content)
        except Exception as error:
            self._errors.append(error)
            return None
        return None if pending is None else self._record(pending)

    async def _record(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except Exception as error:
            self._errors.append(error)


def _do_nothing() -> None:
    """The hook of a test that has none."""
