"""Receiving from a layer that can only be polled."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from ..concurrency import running_loop
from ..names import queue_name
from .envelope import Deliver, hand_over
from .options import share_of
from .receiver import Delivery, Take

logger = logging.getLogger("routechan")

T = TypeVar("T")

#: Seconds to wait after a failed poll, and for the end of a thread.
TROUBLE_DELAY = 1.0
ENDING_TIME = 1.0

#: Asks for one message of any of some names, and returns it or None.
Poll = Callable[[Sequence[str]], Awaitable["Delivery | None"]]


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of ``coroutine``, for plain code.

    It runs on an event loop of its own; where a loop is running already, on another thread.
    """
    if running_loop() is None:
        return asyncio.run(coroutine)
    result: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            result.append(asyncio.run(coroutine))
        except BaseException as error:  # raised again where the result is wanted
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]


async def wait_for_message(poll: Poll, names: Sequence[str], interval: float) -> Delivery:
    """The next message, for which ``poll(names)`` is called every ``interval`` seconds.

    Args:
        poll: asks the layer for one message.
        names: channel names, as ``BaseChannelLayer.poll`` takes them.
        interval: seconds between two polls.
    """
    while True:
        delivery = await poll(names)
        if delivery is not None:
            return delivery
        await asyncio.sleep(interval)


class PollingSubscription:
    """A subscription that polls while slots are free. Lifetime: until ``end``, on one event loop.

    Args:
        poll: asks for a message.
        names: what it asks for.
        take: called with each delivery.
        prefetch: how many slots there are.
        interval: seconds between two polls that found nothing.
    """

    def __init__(self, poll: Poll, names: Sequence[str], take: Take, prefetch: int, interval: float) -> None:
        self._poll = poll
        self._names = names
        self._take = take
        self._interval = interval
        self._slots = asyncio.Semaphore(prefetch)
        self._share = share_of(prefetch, len(names))
        self._held = dict.fromkeys(names, 0)  # in rotation: the one whose message came last is the last
        self._ended = False
        self._polling = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def release(self, channel: str) -> None:
        """Give back the prefetch slot of a message of ``channel``."""
        self._held[queue_name(channel)] -= 1
        self._slots.release()

    def end(self) -> None:
        """Take no more messages; one that a poll is fetching now is still handed on."""
        self._ended = True
        if not self._polling:  # a poll may have taken a message, which is handed on before the task ends
            self._task.cancel()

    async def _run(self) -> None:
        while not self._ended:
            await self._slots.acquire()
            pause = self._interval
            self._polling = True
            try:
                delivery = await self._poll([name for name, held in self._held.items() if held < self._share])
            except Exception:  # an error in the layer may be temporary
                logger.exception("Asking for messages of %s failed", ", ".join(self._names))
                delivery, pause = None, TROUBLE_DELAY
            finally:
                self._polling = False
            if delivery is None:
                self._slots.release()
                if not self._ended:
                    await asyncio.sleep(pause)
                continue
            name = queue_name(delivery.channel)
            self._held[name] = self._held.pop(name) + 1
            delivery.hold(self)
            try:
                self._take(delivery)
            except Exception:  # an error in a consumer must not stop the next messages
                logger.exception("Taking a message of %s failed", delivery.channel)


class PollingQueue:
    """A thread that hands on what is sent to a queue of this process. Lifetime: until ``end``.

    Args:
        poll: asks for a message.
        queue: a name that ends in ``!``.
        deliver: called with each channel and content, on the thread.
        interval: seconds between two polls that found nothing.
    """

    def __init__(self, poll: Poll, queue: str, deliver: Deliver, interval: float) -> None:
        self._poll = poll
        self._queue = queue
        self._deliver = deliver
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"routechan-{queue}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread, after the message that it is handing on."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(ENDING_TIME)

    def _run(self) -> None:
        asyncio.run(self._deliver_all())

    async def _deliver_all(self) -> None:
        while not self._ended.is_set():
            try:
                delivery = await self._poll((self._queue,))
                if delivery is None:
                    self._ended.wait(self._interval)
                else:
                    hand_over(self._deliver, (delivery.channel,), delivery.content, delivery.headers)
            except Exception:  # an error in one message, or a temporary one in the layer
                logger.exception("Handing on what is sent to %s failed", self._queue)
                self._ended.wait(TROUBLE_DELAY)
