"""The worker of 1.x with Django's signals around each consumer."""

from __future__ import annotations

from typing import Any

from routechan.exceptions import ChannelSocketException, ConsumeLater, DenyConnection
from routechan.inspection import name_that_thing
from routechan.message import Message
from routechan.worker import Worker as _Worker
from routechan.worker import WorkerGroup as _WorkerGroup
from routechan.worker.classic import logger

from .signals import consumer_finished, consumer_started, hooks, worker_ready

__all__ = [
    "ChannelSocketException",
    "ConsumeLater",
    "DenyConnection",
    "Message",
    "Worker",
    "WorkerGroup",
    "consumer_finished",
    "consumer_started",
    "logger",
    "name_that_thing",
    "worker_ready",
]


class Worker(_Worker):
    """``routechan.worker.Worker`` that sends Django's signals, with its class as sender (WK-13, WK-03).

    Lifetime: process, or thread without ``signal_handlers``.

    Args:
        *args: Positional arguments of ``routechan.worker.Worker``.
        **kwargs: Its keyword arguments; hooks among them replace the signals.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**_signal_hooks(type(self)), **kwargs})


class WorkerGroup(_WorkerGroup, Worker):
    """``routechan.worker.WorkerGroup`` whose workers send Django's signals. Lifetime: process.

    Args:
        *args: Positional arguments of ``routechan.worker.Worker``.
        n_threads: How many workers there are, each on a thread.
        **kwargs: Keyword arguments of ``routechan.worker.Worker``.
    """

    def __init__(self, *args: Any, n_threads: int | None = None, **kwargs: Any) -> None:
        # The signals are arguments here, because all workers of the group are made with the same arguments.
        super().__init__(*args, n_threads=n_threads, **{**_signal_hooks(type(self)), **kwargs})


def _signal_hooks(sender: type[_Worker]) -> dict[str, Any]:
    return {**hooks(sender, environ={}), "ready_hook": worker_ready.send}
