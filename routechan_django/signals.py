"""Signals around consumers and workers (SG-01 to SG-04), and ``consumer_failed``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypedDict

from django.db import close_old_connections
from django.dispatch import Signal

from routechan.kinds import Consumer
from routechan.message import Message

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

#: Before each consumer, in the thread that runs it. Sender: the class that runs it; ``environ={}``.
consumer_started = Signal()

#: After each consumer, in the same thread, before its sends are delivered. Sender: the same class.
consumer_finished = Signal()

#: After a consumer raised. Sender: the same class; ``message``, ``consumer``, ``exception``.
consumer_failed = Signal()

#: A worker is about to take messages. Sender: the worker.
worker_ready = Signal()

#: Once for each worker process. Sender: the worker.
worker_process_ready = Signal()


class Hooks(TypedDict):
    """What a ``Dispatcher`` calls around consumers."""

    started: Callable[[], object]
    finished: Callable[[], object]
    failed: Callable[[Message, Consumer, BaseException], object]


def hooks(sender: object, **started: Any) -> Hooks:
    """The signals from ``sender`` as hooks. The keyword arguments go with ``consumer_started``."""

    def failed(message: Message, consumer: Consumer, error: BaseException) -> object:
        return consumer_failed.send(sender, message=message, consumer=consumer, exception=error)

    return {
        "started": functools.partial(consumer_started.send, sender, **started),
        "finished": functools.partial(consumer_finished.send, sender),
        "failed": failed,
    }
