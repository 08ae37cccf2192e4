"""Several workers in one process, on threads."""

from __future__ import annotations

import os
import threading
from typing import Any

from .worker import Worker


class WorkerGroup(Worker):
    """``n_threads`` workers: the thread that calls ``run``, and others beside it. Lifetime: process.

    Takes the arguments of ``Worker``; ``n_threads`` is by default the number of processors.
    """

    def __init__(self, *args: Any, n_threads: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kwargs["signal_handlers"] = False  # signals reach the main thread only
        count = (os.cpu_count() or 1) if n_threads is None else n_threads
        self.sub_workers = [Worker(*args, **kwargs) for _ in range(count - 1)]
        self.threads: list[threading.Thread] = []

    def stop(self) -> None:
        """Stop every worker; those on the other threads are cut off if ``run`` returns before them (WK-36)."""
        for worker in self.sub_workers:
            worker.stop()
        super().stop()

    def ready(self) -> None:
        """Tell ``ready_hook`` of this worker, then of each other one (WK-34)."""
        super().ready()
        for worker in self.sub_workers:
            worker.ready()

    def run(self) -> None:
        """Start the threads, then work here (WK-35)."""
        self.threads = [
            threading.Thread(target=worker.run, name=f"routechan-worker-{number}", daemon=True)
            for number, worker in enumerate(self.sub_workers, start=1)
        ]
        for thread in self.threads:
            thread.start()
        super().run()
