"""Processes that run consumers beside the servers."""

from .group import WorkerGroup
from .worker import Worker

__all__ = ["Worker", "WorkerGroup"]
