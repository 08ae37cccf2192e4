"""Signals around consumers and workers (SG-01 to SG-04), and ``consumer_failed``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypedDict

from django.db import close_old_connections
from django.dispatch import Signal

from routechan.inspection import Consumer
from routechan.message import Message

from .steps import StepHooks

__all__ = [
    "Signal",
    "close_old_connections",
    "consumer_failed",
    "consumer_finished",
    "consumer_started",
    "hooks",
    "worker_process_ready",
    "worker_ready",
]

#: Sent before each consumer, in the thread that runs it. The sender is the class that runs it; ``environ`` is ``{}``.
consumer_started = Signal()

#: Sent after each consumer, in the same thread, before its messages are delivered. The sender is the same class.
consumer_finished = Signal()

#: Sent after a consumer raised, with ``message``, ``consumer`` and ``exception``. The sender is the same class.
consumer_failed = Signal()

#: Sent when a worker is about to receive messages. The sender is the worker.
worker_ready = Signal()

#: Sent once in each worker process. The sender is the worker.
worker_process_ready = Signal()


class Hooks(TypedDict):
    """The functions that a ``Dispatcher`` calls around consumers."""

    started: Callable[[], object]
    finished: Callable[[], object]
    failed: Callable[[Message, Consumer, BaseException], object]
    step_hooks: StepHooks


def hooks(sender: object, *, keep_connections: bool = False, **started: Any) -> Hooks:
    """The hooks for a ``Dispatcher``.

    They send ``consumer_started``, ``consumer_finished`` and ``consumer_failed``, and do around each step of a consumer
    what Django does around each request.

    Args:
        sender: The sender of the signals.
        keep_connections: Leave the database alone: its connections are a test's.
        **started: What ``consumer_started`` carries.
    """

    def failed(message: Message, consumer: Consumer, error: BaseException) -> object:
        return consumer_failed.send(sender, message=message, consumer=consumer, exception=error)

    return {
        "started": functools.partial(consumer_started.send, sender, **started),
        "finished": functools.partial(consumer_finished.send, sender),
        "failed": failed,
        "step_hooks": StepHooks(keep_connections=keep_connections),
    }
