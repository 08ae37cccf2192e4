"""A system that has been started: its processes, what they cost, and what they complained about."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import machine
from asgi_servers import HERE
from redis_server import RedisServer
from systems import System, Target

WRONG = ("Traceback", "ERROR", "Error", "WARNING", "CRITICAL")


class ServerError(Exception):
    """A process did not start, ended, or wrote an error."""


@dataclass(frozen=True)
class Host:
    """Where a server process runs: its address, and the words before its command."""

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


class Running:
    """A system's processes until the ``with`` block ends. Lifetime: one sample.

    Args:
        system: What to start.
        target: The application and path that do the work at issue.
        redis: The Redis server, for a system that needs one.
        cpu: The CPU of its processes, or None for any.
        hosts: Of each server process.
        database: The file that its database begins as a copy of.
        known: What it may write in this sample, beside what it may always write.
        patience: The seconds within which they have to listen.
        root: The checkout whose routechan it serves with.

    Raises:
        ServerError: With what its processes wrote, if they do not listen in time, or if one of them has complained or
            ended by the end.
    """

    def __init__(
        self,
        system: System,
        target: Target,
        *,
        redis: RedisServer | None = None,
        cpu: int | None = None,
        hosts: Sequence[Host] = (Host(),),
        database: Path | None = None,
        known: tuple[str, ...] = (),
        patience: float = 30,
        root: Path = HERE.parent,
    ) -> None:
        self.system = system
        self.target = target
        self._redis = redis
        self._cpu = cpu
        self._hosts = hosts
        self._database = database
        self._known = (*system.known, *known)
        self._patience = patience
        self._root = root
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {"worker": [], "server": []}

    def __enter__(self) -> Running:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._log = stack.enter_context(tempfile.TemporaryFile("w+b"))
            if self._database is not None:
                shutil.copy(self._database, self._folder / "db.sqlite3")
            self.ports = free_ports(len(self._hosts))
            stack.callback(self._stop)
            if self.system.worker is not None:
                self._processes["worker"].append(self._start(self.system.worker, 0))
            for host, port in zip(self._hosts, self.ports, strict=True):
                self._processes["server"].append(self._start(self.system.server, port, host))
            for host, port in zip(self._hosts, self.ports, strict=True):
                self._wait(host.address, port)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        with self._stack:
            wrong = self._complaints()
        if wrong:
            raise ServerError(f"{self.system.name}: its processes wrote\n{wrong}") from error

    def urls(self, **names: str) -> list[str]:
        """One of each server process."""
        path = self.target.path.format(**names)
        return [f"ws://{host.address}:{port}{path}" for host, port in zip(self._hosts, self.ports, strict=True)]

    def pids(self, kind: str = "server") -> list[int]:
        """Of its ``server`` or ``worker`` processes."""
        return [process.pid for process in self._processes[kind]]

    def clocks(self) -> dict[str, float]:
        """CPU seconds so far of servers, workers and Redis. Linux only; elsewhere 0."""
        found = {
            name: sum(map(machine.cpu_seconds, machine.with_children(process.pid for process in processes)))
            for name, processes in self._processes.items()
            if processes
        }
        if self._redis is not None:
            found["redis"] = machine.cpu_seconds(self._redis.pid)
        return found

    def resident(self) -> int:
        """Bytes of memory that the servers hold. Linux only."""
        pids = machine.with_children(process.pid for process in self._processes["server"])
        return sum(map(machine.resident, pids))

    def says(self, text: str) -> bool:
        """Whether one of them wrote that."""
        return text in self._written()

    def _start(self, command: tuple[str, ...], port: int, host: Host = Host()) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (*self.system.path, *([self._root] if self.system.ours else [])))),
            "BENCHMARK_DATABASE": str(self._folder / "db.sqlite3"),
            **self.system.environment,
        }
        if self._redis is not None:
            environment["BENCHMARK_REDIS"] = self._redis.url
        process = subprocess.Popen(
            [*host.prefix, *(part.format(host=host.address, port=port, app=self.target.app) for part in command)],
            cwd=self.system.path[0],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            start_new_session=True,  # so that none of its children outlives it
        )
        if self._cpu is not None:
            os.sched_setaffinity(process.pid, {self._cpu})
        return process

    def _wait(self, address: str, port: int) -> None:
        """Until it listens; a worker that is not there yet is waited for by the first handshake."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline and not self._ended():
            with socket.socket() as attempt:
                if attempt.connect_ex((address, port)) == 0:
                    return
            time.sleep(0.02)
        what = " and ".join(f"the {name} has ended" for name in self._ended()) or "the server does not listen"
        raise ServerError(f"{self.system.name}: {what}; its processes wrote\n{self._written()}")

    def _ended(self) -> list[str]:
        return [name for name, each in self._processes.items() for process in each if process.poll() is not None]

    def _complaints(self) -> str:
        lines = self._written().splitlines()
        ended = [f"the {name} has ended" for name in self._ended()]
        if not ended and not any(self._is_wrong(line) for line in lines):
            return ""
        return "\n".join([*ended, *lines[-40:]])

    def _is_wrong(self, line: str) -> bool:
        return any(word in line for word in WRONG) and not any(word in line for word in self._known)

    def _written(self) -> str:
        # The descriptor is shared with the processes, and so is its position: read without moving it.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def _stop(self) -> None:
        for name in ("server", "worker"):  # the server first: its disconnects still find the worker
            for process in self._processes[name]:
                process.terminate()
            for process in self._processes[name]:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
