"""Signals around consumers and workers (SG-01 to SG-04), and ``consumer_failed``."""

from __future__ import annotations

from django.db import close_old_connections
from django.dispatch import Signal

__all__ = [
    "Signal",
    "close_old_connections",
    "consumer_failed",
    "consumer_finished",
    "consumer_started",
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
