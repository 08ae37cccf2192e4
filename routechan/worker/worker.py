"""The worker of 1.x: takes messages off a layer and runs their consumers, one at a time.

Source: ``consumer-api`` 3.1 to 3.3. What ended a worker there (a bad message, a full channel, a hook that
raises, a lost layer) is one message's trouble here: it is logged, and the next message is taken.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from types import FrameType
from typing import Any

from ..delivery import flush, flush_sync
from ..dispatch import MESSAGE_RETRIES, Dispatcher
from ..encoding import Content
from ..kinds import Consumer, Kind, kind_of, kind_of_work
from ..message import Message
from ..observe.failures import about
from ..relaying import Mark, marked, settled_note, take_mark
from ..run import Run
from ..running import Running
from .filters import filter_channels
from .watched import watched_dispatcher

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

    ``channel_layer`` is the 1.x face of a layer with a ``router``. ``callback(channel name, message)`` is called
    for each message that has a consumer, before it runs. ``only_channels`` and ``exclude_channels`` are globs.
    ``started``, ``finished`` and ``failed`` are those of ``Dispatcher``, ``ready_hook`` is called with the worker
    by ``ready``.
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
        self.ready_hook = ready_hook
        self.termed = False  # end at the next round
        self.in_job = False  # False only while waiting for the layer (WK-07)
        self._stopping = False  # what a stream looks at, because ``termed`` is read once for each round (WK-01)

    def install_signal_handler(self) -> None:
        """Bind SIGTERM and SIGINT; only possible in the main thread."""
        signal.signal(signal.SIGTERM, self.sigterm_handler)
        signal.signal(signal.SIGINT, self.sigterm_handler)

    def stop(self) -> None:
        """End after the message in hand; a stream ends at its next step. To be called from any thread."""
        self.termed = True
        self._stopping = True

    def sigterm_handler(self, signo: int, stack_frame: FrameType | None) -> None:
        """Stop; exit with status 0 at once where no message is in hand (WK-06)."""
        self.stop()
        if self.in_job:
            logger.info("Shutdown signal received while busy, waiting for the running consumer")
        else:
            logger.info("Shutdown signal received while idle, ending at once")
            sys.exit(0)

    def ready(self) -> None:
        """Tell ``ready_hook``; the caller does this before ``run`` (WK-03)."""
        if self.ready_hook is not None:
            self.ready_hook(self)

    def apply_channel_filters(self, channels: Collection[str]) -> Collection[str]:
        """The names that ``only_channels`` keeps and ``exclude_channels`` leaves, in their order (WK-02)."""
        return filter_channels(channels, self.only_channels, self.exclude_channels)

    def run(self) -> None:
        """Take and run messages until ``termed``, which is read once for each round, before receiving."""
        if self.signal_handlers:
            self.install_signal_handler()
        router = self.channel_layer.router
        dispatcher = watched_dispatcher(
            router,
            self.callback,
            started=self.started,
            finished=self.finished,
            failed=self.failed,
            retries=self.message_retries,
        )
        channels = self.apply_channel_filters(sorted(router.channels))
        logger.info("Listening on channels %s", ", ".join(channels))
        loop = _Loop()
        running = Running(self.channel_layer)
        try:
            while not self.termed:
                channel, content = self._receive(channels)
                if channel is not None:
                    mark = take_mark(content)
                    if mark is not None:
                        running.add(mark)
                    done = True
                    try:
                        done = self._handle(dispatcher, loop, channel, content, mark)
                    except Exception:  # whatever is wrong with one message, the next one is taken
                        logger.exception(
                            "Handling a message on %s failed; it is dropped: %.100r",
                            channel,
                            content,
                            extra=about(channel, content),
                        )
                    if mark is not None:
                        running.remove(mark)
                        if done:
                            self._settle(mark)
        finally:
            running.stop()
            loop.stop()

    def _settle(self, mark: Mark) -> None:
        """Tell the server that waits for this event that it is over."""
        try:
            self.channel_layer.send(mark.notes, settled_note(mark.number, None))
        except Exception:  # it finds out by itself, a little later
            logger.exception("A server could not be told of what was run for it", extra=about(mark.notes))

    def _receive(self, channels: Collection[str]) -> tuple[str | None, Any]:
        self.in_job = False
        try:
            channel, content = self.channel_layer.receive_many(channels, block=True)
        except Exception:  # a lost broker comes back, and the worker goes on when it does (OB-34)
            logger.exception("The channel layer gave no answer; trying again in %s seconds", FAULT_DELAY)
            time.sleep(FAULT_DELAY)
            return None, None
        self.in_job = True
        if channel is None:
            time.sleep(IDLE_DELAY)
        return channel, content

    def _handle(self, dispatcher: Dispatcher, loop: _Loop, channel: str, content: Content, mark: Mark | None) -> bool:
        """Whether the message is over; one that was put back comes again."""
        message = Message(content, channel, self.channel_layer)
        logger.debug("Got a message on %s (reply channel %s)", channel, message.reply_channel)
        if mark is not None and dispatcher.refuses(message):
            if message.reply_channel is not None:
                message.reply_channel.send({"close": True})
            return True
        run = dispatcher.match(message)
        if run is None:
            return True
        logger.debug("Dispatching %s", run)
        try:
            self._perform(dispatcher, loop, run)
            if run.later and dispatcher.may_retry(run):
                return not self._put_back(run, mark)
            return True
        finally:
            flush_sync(run)

    def _perform(self, dispatcher: Dispatcher, loop: _Loop, run: Run) -> None:
        kind = kind_of(run.consumer)
        work = None
        if kind is Kind.PLAIN:
            work = dispatcher.call(run)  # a wrapper around an async consumer or a generator gives it back
            if work is None:
                return
            kind = kind_of_work(work)
        if kind is Kind.ASYNC:
            loop.run(dispatcher.acall(run, work))
        elif kind is Kind.STREAM:

            def emit() -> bool:
                flush_sync(run)
                return not self._stopping

            dispatcher.iterate(run, work, emit)
        else:

            async def aemit() -> bool:
                pending = flush(run)
                if pending is not None:
                    await pending
                return not self._stopping

            loop.run(dispatcher.aiterate(run, work, aemit))

    def _put_back(self, run: Run, mark: Mark | None) -> bool:
        """Send the content, as the consumer left it, to the end of its channel at once (WK-22 to WK-24).

        A server that waits for it goes on waiting. False where the channel stayed full.
        """
        channel, content = run.message.channel_name, run.message.content
        if mark is not None:
            content = marked(content, mark)
        for tries_left in reversed(range(REQUEUE_TRIES)):
            try:
                self.channel_layer.send(channel, content)
                return True
            except self.channel_layer.ChannelFull:
                if tries_left:
                    time.sleep(REQUEUE_INTERVAL)
        logger.error(
            "%s asked for another try, but %s stayed full for %.1f seconds; the message is dropped: %.100r",
            run,
            channel,
            (REQUEUE_TRIES - 1) * REQUEUE_INTERVAL,
            content,
            extra=run.about(),
        )
        return False


class _Loop:
    """Where a worker's async consumers run: a loop on a thread of its own, started when first needed.

    It goes on between messages, so that a task which outlives its consumer does too. Lifetime: ``Worker.run``.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="routechan-worker-loop", daemon=True)
        self._stopping = False

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Wait until ``coroutine`` has ended; logs what it raises, whatever that is."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread.start()
        error = asyncio.run_coroutine_threadsafe(coroutine, self._loop).exception()
        if error is not None:
            logger.error("An async consumer was broken off", exc_info=error)

    def stop(self) -> None:
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
            except BaseException:  # a KeyboardInterrupt raised in a task stops a loop; this one serves on (WK-20)
                logger.exception("A task ended the event loop of its worker; the loop goes on")
        try:
            loop.run_until_complete(_wind_up())
        finally:
            loop.close()


async def _wind_up() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_TIME)
    await asyncio.get_running_loop().shutdown_asyncgens()
