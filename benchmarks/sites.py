"""A server, and the worker that runs its consumers, as processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import server
from redis_server import RedisServer, cpu_seconds
from server import HERE, ServerError

WRONG = ("Traceback", "ERROR", "Error", "WARNING")


@dataclass(frozen=True)
class Plan:
    """What to start, with ``{port}`` and ``{threads}`` in the commands; ``known`` is what it may write all the same."""

    folder: Path
    server: tuple[str, ...]
    worker: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    def commands(self) -> str:
        """As text, for the results."""
        told = [["python", *each[1:]] for each in (self.server, self.worker) if each]
        return " + ".join(" ".join(Path(part).name if os.path.isabs(part) else part for part in each) for each in told)


def ours(*, workers: bool, layer: str = "redis") -> Plan:
    """A Django project on routechan, with a worker or with its consumers in the server process."""
    options = [option if option != "0" else "{port}" for option in server.COMMAND]
    apps = HERE / "apps"
    folder = HERE / "projects" / "workers"
    return Plan(
        folder,
        (sys.executable, *options, "asgi:application"),
        (sys.executable, "-m", "django", "runworker", "--threads", "{threads}") if workers else None,
        {
            "BENCHMARK_LAYER": layer,
            "BENCHMARK_CONSUMERS": "workers" if workers else "inline",
            "PYTHONPATH": os.pathsep.join(map(str, (folder, apps, HERE.parent))),
        },
    )


def channels1(python: Path) -> Plan:
    """The same consumers on Channels 1.x, with Daphne."""
    folder = HERE / "projects" / "channels1"
    quiet = (str(python), "-W", "ignore")
    return Plan(
        folder,
        (*quiet, str(python.with_name("daphne")), "-b", "127.0.0.1", "-p", "{port}", "-v", "0", "asgi:channel_layer"),
        (*quiet, "-m", "django", "runworker", "--threads", "{threads}"),
        {"PYTHONPATH": str(folder)},
        known=("CryptographyDeprecationWarning",),
    )


class Site:
    """A plan carried out. Lifetime: one sample.

    Raises ``ServerError``, with what its processes wrote, if it does not listen in ``patience`` seconds, or if one of
    them has complained or ended by the end.
    """

    def __init__(self, plan: Plan, redis: RedisServer, *, threads: int = 1, patience: float = 20) -> None:
        self._plan = plan
        self._redis = redis
        self._threads = threads
        self._patience = patience
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Site:
        self._log = tempfile.TemporaryFile("w+b")
        with _free_port() as port:
            self.port = port
        try:
            for name, command in (("worker", self._plan.worker), ("server", self._plan.server)):
                if command is not None:
                    self._processes[name] = self._start(command)
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        wrong = self._complaints()
        self._stop()
        if wrong:
            raise ServerError(f"{self._plan.folder.name}: its processes wrote\n{wrong}") from error

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def clocks(self) -> dict[str, float]:
        """CPU seconds so far of ``server``, ``worker`` and ``redis``."""
        found = {name: cpu_seconds(process.pid) for name, process in self._processes.items()}
        return {"worker": 0.0, **found, "redis": cpu_seconds(self._redis.pid)}

    def cpu_seconds(self) -> float:
        """Of all of them."""
        return sum(self.clocks().values())

    def _start(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {"DJANGO_SETTINGS_MODULE": "settings", "BENCHMARK_REDIS": self._redis.url}
        return subprocess.Popen(
            [part.format(port=self.port, threads=self._threads) for part in command],
            cwd=self._plan.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1", **self._plan.environment},
        )

    def _wait(self) -> None:
        """Until the server listens; a worker that is not there yet is waited for by the first handshake."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline and not self._ended():
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        what = " and ".join(f"the {name} has ended" for name in self._ended()) or "the server does not listen"
        raise ServerError(f"{self._plan.folder.name}: {what}; its processes wrote\n{self._written()}")

    def _ended(self) -> list[str]:
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def _complaints(self) -> str:
        lines = self._written().splitlines()
        ended = [f"the {name} has ended" for name in self._ended()]
        if not ended and not any(self._is_wrong(line) for line in lines):
            return ""
        return "\n".join([*ended, *lines[-40:]])

    def _is_wrong(self, line: str) -> bool:
        return any(word in line for word in WRONG) and not any(word in line for word in self._plan.known)

    def _written(self) -> str:
        # The descriptor is shared with the processes, and so is its position: read without moving it.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def _stop(self) -> None:
        for process in reversed(self._processes.values()):  # the server first: its disconnects still find the worker
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()


@contextmanager
def _free_port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield int(free.getsockname()[1])
