"""Processes that run consumers beside the servers."""

from .classic import Worker, WorkerGroup
from .process import WorkerProcess
from .shutdown import run

__all__ = ["Worker", "WorkerGroup", "WorkerProcess", "run"]
