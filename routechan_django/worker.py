"""The worker of 1.x with Django's signals around each consumer."""

from __future__ import annotations

from typing import Any

from routechan.describe import name_that_thing
from routechan.exceptions import ChannelSocketException, ConsumeLater, DenyConnection
from routechan.message import Message
from routechan.worker import Worker as _Worker
from routechan.worker import WorkerGroup as _WorkerGroup
from routechan.worker.worker import logger

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
    """``routechan.worker.Worker`` whose hooks send Django's signals, with this class as sender (WK-13, WK-03).

    Lifetime: process, or thread without ``signal_handlers``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**_signals(type(self)), **kwargs})


class WorkerGroup(_WorkerGroup, Worker):
    """``routechan.worker.WorkerGroup``, each of whose workers sends Django's signals. Lifetime: process."""

    def __init__(self, *args: Any, n_threads: int | None = None, **kwargs: Any) -> None:
        # Given here, because the other workers get the same arguments.
        super().__init__(*args, n_threads=n_threads, **{**_signals(type(self)), **kwargs})


def _signals(sender: type[_Worker]) -> dict[str, Any]:
    return {**hooks(sender, environ={}), "ready_hook": worker_ready.send}
