"""Processes that do the work of a sample, and what they cost while they did it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import machine
from redis_server import RedisServer
from sample import Sample

HERE = Path(__file__).resolve().parent
PATIENCE = 180.0


class WorkerError(Exception):
    """A process ended, or said nothing for a long time."""


class Worker:
    """A process of ``peers/``. Lifetime: one sample.

    It says lines of JSON and hears plain lines. ``pipes`` are the ends it inherits.
    """

    def __init__(self, program: str, spec: dict[str, Any], *, python: Path | None = None, pipes: tuple[int, ...] = ()):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        if python is None:
            path = [str(HERE.parent), os.environ.get("PYTHONPATH")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        self.what = f"{spec['layer']}, {spec.get('work', 'one at a time')}"
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when the sample ends
        self._process = subprocess.Popen(
            [str(python or sys.executable), str(HERE / "peers" / program), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            pass_fds=pipes,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        try:
            self._process.stdin.write(f"{line}\n".encode())  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass  # hearing from it says why

    def hear(self, patience: float = PATIENCE) -> dict[str, Any]:
        """What it says next."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            line = self._process.stdout.readline() if selector.select(patience) else b""  # type: ignore[union-attr]
        if not line:
            self._errors.seek(0)
            wrote = self._errors.read().strip().splitlines()
            raise WorkerError(f"{self.what}: {wrote[-1] if wrote else f'said nothing for {patience:g} s'}")
        found: dict[str, Any] = json.loads(line)
        return found


class Meter:
    """What a window costs. Lifetime: the window."""

    def __init__(self, server: RedisServer, workers: list[Worker]) -> None:
        self._server = server
        self._workers = workers
        self._connections = 0
        self._before = self._clocks()

    def look(self) -> None:
        """Count connections, some time within the window."""
        self._connections = self._server.connections()

    def read(self, rate: float, **values: float) -> Sample:
        """A sample of the window."""
        took, busy, *used = (now - then for now, then in zip(self._clocks(), self._before, strict=True))
        cpu = {name: each / took for name, each in zip(("redis", "worker", "client"), used, strict=True)}
        others = max(0.0, busy - sum(used)) / took
        return Sample(rate, cpu, others, {"connections": self._connections, **values})

    def _clocks(self) -> tuple[float, ...]:
        return (
            time.perf_counter(),
            machine.busy_seconds(machine.cpus()),
            machine.cpu_seconds(self._server.pid),
            sum(machine.cpu_seconds(worker.pid) for worker in self._workers),
            time.process_time(),
        )
