"""The workers of 1.x: ``Worker`` takes messages off a layer and runs their consumers one at a time.

Source: ``consumer-api`` 3.1 to 3.3. What ended a worker there (a bad message, a full channel, a hook that raises, a
lost layer) costs one message here: it is logged, and the next message is taken.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from types import FrameType
from typing import Any

from ..concurrency import maybe_await
from ..consumers.dispatch import MESSAGE_RETRIES, Dispatcher, Invocation
from ..consumers.steps import StepHooks
from ..encoding import Content
from ..inspection import Consumer
from ..layers.base import BaseChannelLayer, Delivery, SyncChannelLayer
from ..message import Message
from ..monitor.unserved import serve
from ..outbox import flush, flush_sync
from ..relay.protocol import DeliveryTag, ack, stream_ended, tag_of
from ..telemetry.log_fields import log_fields
from ..telemetry.tracing import TRACE
from .heartbeat import Heartbeat

logger = logging.getLogger("routechan")

#: Seconds to sleep when the layer had no message, which only layers that cannot block cause (WK-08).
IDLE_DELAY = 0.01

#: Seconds to wait after the layer failed.
FAULT_DELAY = 1.0

#: How often, and how many seconds apart, a message is put back on a full channel (WK-23).
REQUEUE_TRIES = 10
REQUEUE_INTERVAL = 0.05

#: Seconds that tasks which outlived their consumer have to end in, once the worker stops.
STOP_TIME = 5.0

Callback = Callable[[str, Message], object]


class Worker:
    """Runs the consumers of ``channel_layer.router``. Lifetime: process, or thread without ``signal_handlers``.

    Args:
        channel_layer: the 1.x face of a layer, with a ``router``; or any object with the 1.x methods.
        callback: called with ``(channel name, message)`` for each message that has a consumer, before it runs.
        message_retries: how often ``ConsumeLater`` puts one message back.
        signal_handlers: bind SIGTERM and SIGINT in ``run``.
        only_channels: globs; only channels that one of them matches are read.
        exclude_channels: globs; channels that one of them matches are not read.
        started: as that of ``Dispatcher``.
        finished: as that of ``Dispatcher``.
        failed: as that of ``Dispatcher``.
        step_hooks: as that of ``Dispatcher``.
        ready_hook: called with the worker by ``ready``.
    """

    def __init__(
        self,
        channel_layer: Any,
        callback: Callback | None = None,
        message_retries: int = MESSAGE_RETRIES,
        signal_handlers: bool = True,
        only_channels: Collection[str] | None = None,
        exclude_channels: Collection[str] | None = None,
        *,
        started: Callable[[], object] | None = None,
        finished: Callable[[], object] | None = None,
        failed: Callable[[Message, Consumer, BaseException], object] | None = None,
        step_hooks: StepHooks | None = None,
        ready_hook: Callable[[Worker], object] | None = None,
    ) -> None:
        self.channel_layer = channel_layer
        self.callback = callback
        self.message_retries = message_retries
        self.signal_handlers = signal_handlers
        self.only_channels = only_channels
        self.exclude_channels = exclude_channels
        self.started = started
        self.finished = finished
        self.failed = failed
        self.step_hooks = step_hooks
        self.ready_hook = ready_hook
        self.termed = False  # end at the next round
        self.in_job = False  # False only while waiting for the layer (WK-07)
        self._stopping = False  # for streams, because ``termed`` is read once for each round (WK-01)

    def install_signal_handler(self) -> None:
        """Bind SIGTERM and SIGINT; only possible in the main thread."""
        signal.signal(signal.SIGTERM, self.sigterm_handler)
        signal.signal(signal.SIGINT, self.sigterm_handler)

    def stop(self) -> None:
        """End after the message in hand; a stream ends at its next step.

        From any thread.
        """
        self.termed = True
        self._stopping = True

    def sigterm_handler(self, signo: int, stack_frame: FrameType | None) -> None:
        """Handle a signal: stop, and exit with status 0 at once where no message is in hand (WK-06).

        ``signo`` and ``stack_frame`` are what Python gives a signal handler.
        """
        self.stop()
        if self.in_job:
            logger.info("Shutdown signal received while busy, waiting for the running consumer")
        else:
            logger.info("Shutdown signal received while idle, ending at once")
            sys.exit(0)

    def ready(self) -> None:
        """Call ``ready_hook``; the caller does this before ``run`` (WK-03)."""
        if self.ready_hook is not None:
            self.ready_hook(self)

    def apply_channel_filters(self, channels: Collection[str]) -> Collection[str]:
        """The names of ``channels`` that ``only_channels`` and ``exclude_channels`` leave, in order (WK-02)."""
        return filter_channels(channels, self.only_channels, self.exclude_channels)

    def run(self) -> None:
        """Take and run messages until ``termed``, which is read once for each round, before receiving."""
        if self.signal_handlers:
            self.install_signal_handler()
        router = self.channel_layer.router
        dispatcher = Dispatcher(
            router,
            started=self.started,
            finished=self.finished,
            failed=self.failed,
            callback=self.callback,
            retries=self.message_retries,
            step_hooks=self.step_hooks,
        )
        channels = self.apply_channel_filters(sorted(router.channels))
        layer = getattr(self.channel_layer, "layer", None)
        if isinstance(layer, BaseChannelLayer):
            serve(layer)
            layer.want_presence(channels)
        logger.info("Listening on channels %s", ", ".join(channels))
        loop = _LoopThread()
        in_hand: list[Delivery] = []
        heartbeat = Heartbeat(self.channel_layer, lambda: [delivery.headers for delivery in tuple(in_hand)])
        try:
            while not self.termed:
                delivery = self._receive(channels)
                if delivery is not None:
                    in_hand.append(delivery)
                    self._consume(dispatcher, loop, heartbeat, delivery)
                    in_hand.clear()
        finally:
            heartbeat.stop()
            loop.stop()

    def _receive(self, channels: Collection[str]) -> Delivery | None:
        layer = self.channel_layer
        self.in_job = False
        try:
            if isinstance(layer, SyncChannelLayer):
                delivery = layer.receive_delivery(channels, block=True)
            else:
                channel, content = layer.receive_many(channels, block=True)
                delivery = None if channel is None else Delivery(channel, content, {})
        except Exception:  # a lost broker comes back, and the worker goes on when it does (OB-34)
            logger.exception("The channel layer gave no answer; trying again in %s seconds", FAULT_DELAY)
            time.sleep(FAULT_DELAY)
            return None
        self.in_job = True
        if delivery is None:
            time.sleep(IDLE_DELAY)
        return delivery

    def _consume(self, dispatcher: Dispatcher, loop: _LoopThread, heartbeat: Heartbeat, delivery: Delivery) -> None:
        """Run the consumer of ``delivery`` and ack it, unless it was put back and comes again."""
        tag = tag_of(delivery.headers)
        if tag is not None:
            heartbeat.start()
        over, failed = True, False
        try:
            over, failed = self._handle(dispatcher, loop, delivery, tag)
        except Exception:  # whatever is wrong with one message, the next one is taken
            logger.exception(
                "Handling a message on %s failed; it is dropped: %.100r",
                delivery.channel,
                delivery.content,
                extra=log_fields(delivery.channel, delivery.content),
            )
        if tag is not None and over:
            self._tell(tag, ack(tag.number, failed=failed))

    def _tell(self, tag: DeliveryTag, content: Content) -> None:
        try:
            self.channel_layer.send(tag.reply_to, content)
        except Exception:  # the server finds out by itself, a little later
            logger.exception("A server could not be told of an event's end", extra=log_fields(tag.reply_to))

    def _handle(
        self, dispatcher: Dispatcher, loop: _LoopThread, delivery: Delivery, tag: DeliveryTag | None
    ) -> tuple[bool, bool]:
        """Whether the message is over, rather than put back, and whether its consumer has failed."""
        message = Message(delivery.content, delivery.channel, self.channel_layer)
        logger.debug("Got a message on %s (reply channel %s)", delivery.channel, message.reply_channel)
        refusal = dispatcher.refusal(message) if tag is not None else None
        if refusal is not None:
            if message.reply_channel is not None:
                message.reply_channel.send(refusal)
            return True, False
        invocation = dispatcher.match(message, delivery.headers.get(TRACE))
        if invocation is None:
            answer = dispatcher.unrouted(message)
            if answer is not None and message.reply_channel is not None:
                message.reply_channel.send(answer)
            return True, False
        logger.debug("Dispatching %s", invocation)

        cut = False

        def goes_on() -> bool:
            nonlocal cut
            cut = self._stopping
            return not cut

        def emit() -> bool:
            flush_sync(invocation)
            return goes_on()

        async def aemit() -> bool:
            await maybe_await(flush(invocation))
            return goes_on()

        try:
            dispatcher.run(invocation, run_async=loop.run, emit=emit, aemit=aemit)
            if invocation.later and dispatcher.may_retry(invocation):
                return not self._put_back(invocation, delivery), False
            return True, invocation.failed
        finally:
            flush_sync(invocation)
            if cut and tag is not None:
                self._tell(tag, stream_ended(tag.number, cut))

    def _put_back(self, invocation: Invocation, delivery: Delivery) -> bool:
        """Whether the content, as the consumer left it, was sent to the end of its channel (WK-22 to WK-24).

        A server that waits for its ack goes on waiting.
        """
        channel, content = invocation.message.channel_name, invocation.message.content
        headers = {"headers": delivery.headers} if delivery.headers else {}  # a layer of another make has none
        for tries_left in reversed(range(REQUEUE_TRIES)):
            try:
                self.channel_layer.send(channel, content, **headers)
                return True
            except self.channel_layer.ChannelFull:
                if tries_left:
                    time.sleep(REQUEUE_INTERVAL)
        logger.error(
            "%s asked for another try, but %s stayed full for %.1f seconds; the message is dropped: %.100r",
            invocation,
            channel,
            (REQUEUE_TRIES - 1) * REQUEUE_INTERVAL,
            content,
            extra=invocation.log_fields(),
        )
        return False


class WorkerGroup(Worker):
    """Several workers in one process: the thread that calls ``run``, and others beside it. Lifetime: process.

    Args:
        args: those of ``Worker``.
        n_threads: how many workers; the number of processors by default.
        kwargs: those of ``Worker``.
    """

    def __init__(self, *args: Any, n_threads: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kwargs["signal_handlers"] = False  # signals reach the main thread only
        count = (os.cpu_count() or 1) if n_threads is None else n_threads
        self.sub_workers = [Worker(*args, **kwargs) for _ in range(count - 1)]
        self.threads: list[threading.Thread] = []

    def stop(self) -> None:
        """Stop every worker; those on the other threads are cut off if ``run`` returns before them (WK-36)."""
        for worker in self.sub_workers:
            worker.stop()
        super().stop()

    def ready(self) -> None:
        """Call ``ready_hook`` with this worker, then with each other one (WK-34)."""
        super().ready()
        for worker in self.sub_workers:
            worker.ready()

    def run(self) -> None:
        """Start the threads, then work here (WK-35)."""
        self.threads = [
            threading.Thread(target=worker.run, name=f"routechan-worker-{number}", daemon=True)
            for number, worker in enumerate(self.sub_workers, start=1)
        ]
        for thread in self.threads:
            thread.start()
        super().run()


def filter_channels(
    channels: Collection[str], only: Collection[str] | None, exclude: Collection[str] | None
) -> Collection[str]:
    """The names of ``channels`` that the globs ``only`` keep and the globs ``exclude`` leave, in order (WK-02)."""
    if only:
        channels = [name for name in channels if _matches_any(name, only)]
    if exclude:
        channels = [name for name in channels if not _matches_any(name, exclude)]
    return channels


def _matches_any(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class _LoopThread:
    """An event loop on a thread of its own, for async consumers. Lifetime: ``Worker.run``.

    It starts when it is first needed and goes on between messages, so that a task which outlives its consumer does too.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="routechan-worker-loop", daemon=True)
        self._stopping = False

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Wait until ``coroutine`` has ended; log what it raises, whatever that is."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread.start()
        error = asyncio.run_coroutine_threadsafe(coroutine, self._loop).exception()
        if error is not None:
            logger.error("An async consumer was broken off", exc_info=error)

    def stop(self) -> None:
        """Cancel what is left and end the thread."""
        if self._loop is not None:
            self._stopping = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_TIME)

    def _serve(self) -> None:
        loop = self._loop
        if loop is None:
            raise RuntimeError("the loop is made before its thread")
        while not self._stopping:
            try:
                loop.run_forever()
            except BaseException:  # a KeyboardInterrupt raised in a task stops a loop; this one goes on (WK-20)
                logger.exception("A task ended the event loop of its worker; the loop goes on")
        try:
            loop.run_until_complete(_cancel_all())
        finally:
            loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_TIME)
    await asyncio.get_running_loop().shutdown_asyncgens()
