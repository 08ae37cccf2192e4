"""One message run through its consumer as production runs it, with its outcome kept for a test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ..delivery import flush, flush_sync
from ..describe import name_that_thing
from ..dispatch import Dispatcher
from ..encoding import Content
from ..handover import settled
from ..kinds import Kind, goes_on, kind_of, kind_of_work
from ..message import Message
from ..outbox import Sender
from ..routing import Router
from ..run import Run

#: After so many yields a stream is taken to be endless.
STEP_LIMIT = 100

RunAsync = Callable[[Coroutine[Any, Any, None]], object]
RunSync = Callable[..., Awaitable[Any]]


class Trial(Dispatcher):
    """Runs one message; what production logs is raised to the test instead. Lifetime: message.

    ``steps`` is after how many yields a stream is closed, as if its socket had been. ``run_async`` runs a coroutine
    from plain code, ``run_sync`` a plain function from async code.
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
    ) -> None:
        # With a hook there is always something to settle, and this trial sees every outbox at its end.
        super().__init__(router, started=started, finished=finished or _nothing, failed=failed)
        self._run_async = run_async
        self._run_sync = run_sync
        self._steps = steps
        self._taken = 0
        self._result: Any = None
        self._errors: list[BaseException] = []

    def perform(self, run: Run) -> None:
        """Run a consumer of any kind to its end."""
        kind, work = self._prepare(run), None
        if kind is Kind.PLAIN:
            work = self.call(run)
            if work is None:
                return
            kind = kind_of_work(work)
        if kind is Kind.STREAM:
            self.iterate(run, work, lambda: self._emit(run))
        else:
            self._run_async(self._on_the_loop(run, kind, work))

    async def aperform(self, run: Run) -> None:
        """``perform`` for an async test."""
        kind, work = self._prepare(run), None
        if kind is Kind.PLAIN:
            work = await self._run_sync(self.call, run)
            if work is None:
                return
            kind = kind_of_work(work)
        if kind is Kind.STREAM:
            await self._run_sync(self.iterate, run, work, lambda: self._emit(run))
        else:
            await self._on_the_loop(run, kind, work)

    def outcome(self) -> Any:
        """What the consumer returned (TC-11); raises the first thing that went wrong."""
        if self._errors:
            raise self._errors[0]
        return self._result

    async def _on_the_loop(self, run: Run, kind: Kind, work: Any) -> None:
        if kind is Kind.ASYNC:
            await self.acall(run, None if work is None else self._keep_awaited(work))
        else:
            await self.aiterate(run, work, lambda: self._aemit(run))

    def _prepare(self, run: Run) -> Kind:
        """Have what the consumer returns kept; only the call itself meets the stand-in for it."""
        consumer = run.consumer
        kind = kind_of(consumer)

        def keep(message: Message, **kwargs: Any) -> Any:
            run.consumer = consumer
            result = consumer(message, **kwargs)
            if kind is Kind.ASYNC:
                return self._keep_awaited(result)
            if kind is Kind.PLAIN and not goes_on(result):
                self._result = result
            return result

        run.consumer = keep
        return kind

    async def _keep_awaited(self, coroutine: Awaitable[Any]) -> None:
        self._result = await coroutine

    # A stream

    def _emit(self, run: Run) -> bool:
        self._watch(run)
        flush_sync(run)
        return self._wants_more(run)

    async def _aemit(self, run: Run) -> bool:
        self._watch(run)
        await settled(flush(run))
        return self._wants_more(run)

    def _wants_more(self, run: Run) -> bool:
        self._taken += 1
        if self._steps is not None:
            return self._taken < self._steps
        if self._taken < STEP_LIMIT:
            return True
        self._errors.append(
            AssertionError(
                f"{name_that_thing(run.consumer)} yielded {STEP_LIMIT} times and goes on; say after how many yields it "
                "is to be closed, such as client.consume(channel, steps=3)"
            )
        )
        return False

    # What goes wrong

    def _settle(self, run: Run, error: BaseException | None) -> None:
        super()._settle(run, error)
        self._watch(run)

    def _report(self, run: Run, error: BaseException) -> None:
        self._errors.append(error)
        if self._failed is not None:
            try:
                self._failed(run.message, run.consumer, error)
            except (Exception, SystemExit) as failure:
                self._errors.append(failure)

    def _watch(self, run: Run) -> None:
        run.entries = [(_Watched(sender, self._errors), content) for sender, content in run.entries]


class _Watched:
    """A send whose failure the test gets. A full channel is not tried again: in a test nobody reads it meanwhile."""

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
        return None if pending is None else self._watch(pending)

    async def _watch(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except Exception as error:
            self._errors.append(error)


def _nothing() -> None:
    pass
