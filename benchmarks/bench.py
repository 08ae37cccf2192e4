"""What all samples of a run share: Redis, a database, the CPUs, and how long a window is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import machine
from redis_server import RedisServer
from running import Host, Running
from systems import SHARED, SYSTEMS


class Bench:
    """Lifetime: one run, as long as its ``with`` block.

    Args:
        warmup: Seconds before a window.
        seconds: Of a window.
        pin: Whether a system of one process has a CPU of its own, where there are two or more.
        root: The checkout whose routechan is measured.
    """

    def __init__(self, warmup: float, seconds: float, *, pin: bool = True, root: Path = SHARED.parents[2]) -> None:
        self.warmup = warmup
        self.seconds = seconds
        self.root = root
        self._every_cpu = machine.cpus()
        self.pinned = pin and len(self._every_cpu) > 1 and hasattr(os, "sched_setaffinity")
        self._known: dict[str, float] = {}

    def __enter__(self) -> Bench:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(TemporaryDirectory()))
            self.redis = stack.enter_context(RedisServer())
            self._stack = stack.pop_all()
        self._session: str | None = None
        return self

    def __exit__(self, *error: object) -> None:
        self.unpin()
        self._stack.close()

    def cpus(self, name: str) -> list[int]:
        """Those that a system and the client use."""
        return self._every_cpu[:2] if self._has_own_cpu(name) else self._every_cpu

    def unpin(self) -> None:
        """Let this process, and what it starts, use all CPUs."""
        if self.pinned:
            os.sched_setaffinity(0, self._every_cpu)

    @contextmanager
    def running(self, name: str, work: str, *, servers: int = 1, known: tuple[str, ...] = ()) -> Iterator[Running]:
        """A system, started to do a kind of work."""
        system = SYSTEMS[name]
        own = self._has_own_cpu(name) and servers == 1
        self.unpin()
        if system.redis:
            self.redis.empty()
        if system.database:
            self.headers(name)
        with Running(
            system,
            system.targets[work],
            redis=self.redis if system.redis else None,
            cpu=self._every_cpu[0] if own else None,
            hosts=[Host()] * servers,
            database=self._database if system.database and self._session else None,
            known=known,
            root=self.root,
        ) as running:
            if own:
                os.sched_setaffinity(0, {self._every_cpu[1]})
            try:
                yield running
            finally:
                self.unpin()

    def headers(self, name: str) -> dict[str, str]:
        """Of the handshakes with a system: those of a browser where a user is logged in, if it has users."""
        if not SYSTEMS[name].database:
            return {}
        if self._session is None:
            done = subprocess.run(
                [sys.executable, str(SHARED / "prepare.py")],
                env={**os.environ, "BENCHMARK_DATABASE": str(self._database)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            self._session = done.stdout.strip()
        return {"Cookie": f"theme=dark; sessionid={self._session}"}

    def once(self, what: str, find: Callable[[], float]) -> float:
        """A value that is found once in a run."""
        if what not in self._known:
            self._known[what] = find()
        return self._known[what]

    @property
    def _database(self) -> Path:
        return self._folder / "db.sqlite3"

    def _has_own_cpu(self, name: str) -> bool:
        return self.pinned and SYSTEMS[name].alone
