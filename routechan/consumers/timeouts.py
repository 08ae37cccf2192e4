"""The time that one run of a consumer may take: what happens beyond it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ..concurrency import maybe_await
from ..interfaces import FAILED, HTTP_CHANNELS, SOCKET_CHANNELS, first_of
from ..outbox import Outbox, flush
from ..telemetry.counters import counters

if TYPE_CHECKING:
    from .dispatch import Invocation

#: Tasks that tell clients: the event loop holds its tasks only weakly.
_telling: set[asyncio.Task[None]] = set()


def check_timeout(timeout: object) -> None:
    """Raise ``ValueError`` unless ``timeout`` is a number of seconds above 0, or None."""
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not (number and 0 < timeout < float("inf")):  # type: ignore[operator]
        raise ValueError(f"the timeout of consumers is a number of seconds above 0, or None, not {timeout!r:.100}")


async def within(seconds: float, invocation: Invocation, coroutine: Coroutine[Any, Any, Any] | None) -> None:
    """Run an async consumer, and cancel it once it has taken too long.

    It runs in this task, with what its decorators and hooks have set for the task.

    Args:
        seconds: that it may take.
        invocation: of the consumer.
        coroutine: what the consumer returned, where it has been called already.

    Raises:
        TimeoutError: it took longer, and was cancelled.
        BaseException: whatever it raised.
    """
    task: Any = asyncio.current_task()
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    counts = hasattr(task, "uncancel")  # Python 3.11
    cancelled_before = task.cancelling() if counts else 0
    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        await (invocation.start() if coroutine is None else coroutine)
    except asyncio.CancelledError as error:
        if expired and not (counts and task.cancelling() > cancelled_before + 1):  # else others want the task to end
            raise TimeoutError(f"it ran for more than {seconds:g} s (CONSUMER_TIMEOUT) and was cancelled") from error
        raise
    finally:
        timer.cancel()
        if expired:
            counters.limited["consumer_timeout"] += 1
            if counts:
                task.uncancel()


def give_up(invocation: Invocation) -> None:
    """Have the client of a plain consumer that runs for too long be told, on the event loop.

    The consumer goes on, as nothing stops a thread, and what comes after it on its connection waits for it. So the
    connection is of no use to the client: a socket is closed, a client that waits for an answer is refused.

    Args:
        invocation: of the consumer.
    """
    counters.limited["consumer_timeout"] += 1
    message = invocation.message
    if message.reply_channel is None or message.channel_name not in SOCKET_CHANNELS + HTTP_CHANNELS:
        return
    outbox = Outbox()
    if first_of(message.channel_name, message.content):
        outbox.add(message.reply_channel, {FAILED: f"{invocation} runs for too long (CONSUMER_TIMEOUT)"})
    elif message.channel_name in SOCKET_CHANNELS:
        outbox.add(message.reply_channel, {"close": 1011})
    task = asyncio.get_running_loop().create_task(maybe_await(flush(outbox)))
    _telling.add(task)
    task.add_done_callback(_telling.discard)
