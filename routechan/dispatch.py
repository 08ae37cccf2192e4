"""One message: match, run, settle.

The one place that knows what a consumer may raise and what follows from it (``consumer-api`` 3.2). The
server process, workers and the test client all run messages through it. Nothing a consumer does leaves
it as an exception: an error is one message's outcome, logged and handed to ``failed``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from . import outbox
from .delivery import Flush, flush
from .exceptions import (
    ChannelSocketException,
    ConsumeLater,
    DenyConnection,
)
from .handover import SOCKET_CHANNELS
from .kinds import Consumer, goes_on
from .message import Message
from .observe import tracing
from .observe.counters import counters
from .observe.failures import about_message
from .routing import Router
from .run import Run

logger = logging.getLogger("routechan")

#: How often ``ConsumeLater`` puts one message back before it is dropped (WK-21).
MESSAGE_RETRIES = 10


class Dispatcher:
    """Runs messages through their consumers. Lifetime: process.

    ``started`` and ``finished`` are called around each consumer in the thread that runs it, ``failed`` with
    ``(message, consumer, error)`` after it raised; what they raise is logged.
    """

    def __init__(
        self,
        router: Router,
        *,
        started: Callable[[], object] | None = None,
        finished: Callable[[], object] | None = None,
        failed: Callable[[Message, Consumer, BaseException], object] | None = None,
        retries: int = MESSAGE_RETRIES,
    ) -> None:
        self.router = router
        self.retries = retries
        self._started = started
        self._finished = finished
        self._failed = failed

    # Match

    def match(self, message: Message) -> Run | None:
        """The consumer's run, or None, logged, where no route takes the message (RT-36)."""
        counters.received[message.channel_name] += 1
        try:
            run = self.find(message)
        except Exception:  # a custom route object may raise anything; it costs this message only
            counters.unrouted += 1
            logger.exception(
                "Routing a message on %s failed; it is dropped", message.channel_name, extra=about_message(message)
            )
            return None
        if run is None:
            counters.unrouted += 1
            logger.error(
                "No route takes a message on %s; it is dropped", message.channel_name, extra=about_message(message)
            )
        return run

    def find(self, message: Message) -> Run | None:
        """The consumer's run, or None where no route takes the message; raises what a custom route does."""
        carried = tracing.take(message.content) if tracing.CARRIED in message.content else None
        matched = self.router.match(message)
        if matched is None:
            return None
        if "__retries__" in message.content and message.content["__retries__"] == self.retries:
            message.__dict__["__doomed__"] = True  # the last try (WK-10)
        consumer, kwargs = matched
        return Run(message, consumer, kwargs, carried)

    def refuses(self, message: Message) -> bool:
        """Whether this is the connect of a socket that no route could ever serve (RT-32); it is logged.

        Asked for events of a server that relays, which does not know the routes.
        """
        if message.channel_name != SOCKET_CHANNELS[0] or self.router.serves(SOCKET_CHANNELS, message.content):
            return False
        logger.warning(
            "WebSocket %r is refused: no route for %s matches this path",
            message.content.get("path"),
            ", ".join(SOCKET_CHANNELS),
            extra=about_message(message),
        )
        return True

    # Run

    def call(self, run: Run) -> Any:
        """Run a plain consumer here and settle it; the outbox is left to be flushed.

        What it returned is given back if it is work to go on with: a coroutine or a generator.
        """
        token = outbox.current.set(run)
        error: BaseException | None = None
        work = None
        run.begin()
        try:
            try:
                if self._started is not None:
                    self._started()
                result = run.consumer(run.message, **run.kwargs)
                if result is not None and goes_on(result):
                    work = result
                    return work
            except BaseException as raised:  # SystemExit too: nothing a consumer does ends its worker (WK-20)
                error = raised
            if error is not None or self._finished is not None:
                self._settle(run, error)
            run.closed = True
        finally:
            outbox.current.reset(token)
            run.end() if work is None else run.leave()
        return None

    async def acall(
        self,
        run: Run,
        coroutine: Coroutine[Any, Any, Any] | None = None,
        later: Callable[[Run], Awaitable[None]] | None = None,
        flush: Flush = flush,
    ) -> None:
        """Run an async consumer here, settle it and flush; ``coroutine`` if it was called already.

        ``later`` is awaited at the end if the consumer asked for another try.
        """
        token = outbox.current.set(run)
        error: BaseException | None = None
        run.begin()
        try:
            try:
                if coroutine is None:
                    if self._started is not None:
                        self._started()
                    coroutine = run.consumer(run.message, **run.kwargs)
                await coroutine
            except BaseException as raised:
                if _ends_the_task(raised):  # the consumer has ended all the same
                    self._settle(run, None)
                    run.closed = True
                    raise
                error = raised
            if error is not None or self._finished is not None:
                self._settle(run, error)
            run.closed = True
        finally:
            outbox.current.reset(token)
            run.end()
        pending = flush(run)
        if pending is not None:
            await pending
        if run.later and later is not None:
            await later(run)

    def iterate(self, run: Run, generator: Any, emit: Callable[[], bool]) -> None:
        """Run a generator consumer to its end here; ``emit`` delivers after each step, False ends it.

        What it sent after the last step is left in the outbox.
        """
        token = outbox.current.set(run)
        error: BaseException | None = None
        run.begin()
        try:
            try:
                if generator is None:
                    if self._started is not None:
                        self._started()
                    generator = run.consumer(run.message, **run.kwargs)
                try:
                    for item in generator:
                        self._yielded(run, item)
                        if not emit():
                            break
                finally:
                    generator.close()
            except BaseException as raised:
                error = raised
            self._settle(run, error)
            run.closed = True
        finally:
            outbox.current.reset(token)
            run.end()

    async def aiterate(self, run: Run, generator: Any, emit: Callable[[], Awaitable[bool]]) -> None:
        """``iterate`` for an async generator; cancelling it ends it too."""
        token = outbox.current.set(run)
        error: BaseException | None = None
        run.begin()
        try:
            try:
                if generator is None:
                    if self._started is not None:
                        self._started()
                    generator = run.consumer(run.message, **run.kwargs)
                try:
                    async for item in generator:
                        self._yielded(run, item)
                        if not await emit():
                            break
                finally:
                    await generator.aclose()
            except BaseException as raised:
                if _ends_the_task(raised):
                    self._settle(run, None)
                    run.closed = True
                    raise
                error = raised
            self._settle(run, error)
            run.closed = True
        finally:
            outbox.current.reset(token)
            run.end()

    def _yielded(self, run: Run, item: Any) -> None:
        reply_channel = run.message.reply_channel
        if not isinstance(item, dict):
            raise TypeError(
                "a streaming consumer yields dicts for its reply channel, such as {'text': 'hello'}, "
                f"not {item!r:.100}"
            )
        if reply_channel is None:
            raise TypeError("a streaming consumer needs a message with a reply channel to yield to")
        run.add(reply_channel, item)

    # Settle

    def _settle(self, run: Run, error: BaseException | None) -> None:
        """Act on how the consumer ended, then tell ``finished``; both inside the outbox (0.1, steps 9 and 10)."""
        if error is not None:
            try:
                self._settle_error(run, error)
            except (Exception, SystemExit) as failure:
                self._report(run, failure)
        if self._finished is not None:
            try:
                self._finished()
            except (Exception, SystemExit) as failure:
                self._report(run, failure)

    def _settle_error(self, run: Run, error: BaseException) -> None:
        message = run.message
        if isinstance(error, ConsumeLater):
            run.later = True
        elif isinstance(error, DenyConnection):
            if message.channel_name != "websocket.connect" or message.reply_channel is None:
                raise ValueError(
                    "DenyConnection refuses a handshake; raise it only on websocket.connect, and close an open "
                    'socket with message.reply_channel.send({"close": True})'
                ) from error
            run.add(message.reply_channel, {"close": True})
        elif isinstance(error, ChannelSocketException):
            error.run(message)
        else:
            self._report(run, error)

    def _report(self, run: Run, error: BaseException) -> None:
        run.failed(error)
        logger.error("Error in consumer %s", run, exc_info=error, extra=run.about())
        if self._failed is not None:
            try:
                self._failed(run.message, run.consumer, error)
            except (Exception, SystemExit):
                logger.exception("Error while reporting that %s failed", run, extra=run.about())

    def refuse(self, run: Run, error: Exception) -> None:
        """The consumer could not be started: as if it had raised ``error``."""
        self._report(run, error)
        run.closed = True

    def may_retry(self, run: Run) -> bool:
        """Whether a run that asked for it gets another try; False, logged, when it had all of them (WK-21)."""
        content = run.message.content
        tried = content.get("__retries__", 0)
        content["__retries__"] = tried + 1 if isinstance(tried, int) else 1
        if content["__retries__"] <= self.retries:
            if run.carried is not None:
                content[tracing.CARRIED] = run.carried
            return True
        logger.warning(
            "%s asked for another try %d times; the message is dropped: %.100r",
            run,
            self.retries,
            content,
            extra=run.about(),
        )
        return False


def _ends_the_task(error: BaseException) -> bool:
    """Cancelling is the server's, Ctrl-C the user's. What a consumer awaits may be cancelled without that.

    Before Python 3.11 a task does not say whether it is being cancelled; it is believed to be.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        cancelling = getattr(task, "cancelling", None)
        return cancelling is None or bool(cancelling())
    return not isinstance(error, (Exception, SystemExit))
