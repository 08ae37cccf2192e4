"""Processes that run consumers beside the servers."""

from .group import WorkerGroup
from .process import WorkerProcess
from .shutdown import run
from .worker import Worker

__all__ = ["Worker", "WorkerGroup", "WorkerProcess", "run"]
