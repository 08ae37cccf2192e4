"""Server processes, worker processes and a Redis, as a site has them. For the tests, and for ``scripts/soak``."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from tests.processes import PATIENCE, ServerProcess, free_port

SERVER = (
    "-m",
    "uvicorn",
    "tests.integration.workers.server:app",
    "--ws",
    "websockets-sansio",
    "--log-level",
    "warning",
)
WORKER = ("-m", "tests.integration.workers.worker")


class WorkerProgram(ServerProcess):
    """A worker process; SIGTERM drains it. It serves no port: entering waits until it says that it is ready."""

    def answers(self) -> bool:
        return "ready" in self.output or "Listening on channels" in self.output

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def ended(self) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(PATIENCE)


class Fleet:
    """Started by ``with``; ``environment`` is for all of its processes."""

    def __init__(
        self,
        redis_url: str,
        *,
        servers: int = 1,
        workers: int = 2,
        threads: int = 4,
        environment: dict[str, str] | None = None,
        server: tuple[str, ...] = SERVER,
        worker: tuple[str, ...] | None = None,
    ) -> None:
        self.environment = {
            "REDIS": redis_url,
            "REDIS_PREFIX": secrets.token_hex(6),
            "TICKS": str(Path(tempfile.gettempdir()) / f"routechan-ticks-{secrets.token_hex(6)}"),
            **(environment or {}),
        }
        self.threads = threads
        self._server = server
        self._worker = worker or (*WORKER, str(threads))
        self._counts = servers, workers
        self.servers: list[ServerProcess] = []
        self.workers: list[WorkerProgram] = []
        self._left = ""  # what workers had logged that are gone

    def __enter__(self) -> Fleet:
        servers, workers = self._counts
        try:
            for _ in range(servers):
                port = free_port()
                arguments = [*self._server, "--port", str(port)]
                self.servers.append(ServerProcess(arguments, port, environment=self.environment))
            self.workers = [self.new_worker() for _ in range(workers)]
            starting = [threading.Thread(target=process.start) for process in (*self.servers, *self.workers)]
            for thread in starting:
                thread.start()
            for thread in starting:
                thread.join()
            for process in (*self.servers, *self.workers):
                process.wait_until(process.answers, "it answers")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Servers first: workers run the last events of their sockets."""
        for processes in (self.servers, self.workers):
            stopping = [threading.Thread(target=process.stop) for process in processes]
            for thread in stopping:
                thread.start()
            for thread in stopping:
                thread.join()
        Path(self.environment["TICKS"]).unlink(missing_ok=True)

    def urls(self, path: str) -> list[str]:
        return [f"ws://127.0.0.1:{server.port}{path}" for server in self.servers]

    def new_worker(self) -> WorkerProgram:
        return WorkerProgram(self._worker, 0, environment=self.environment)

    async def restart(self, index: int, number: int = signal.SIGTERM) -> int:
        """End a worker with a signal, wait for its end, and start another in its place; the exit status."""
        old = self.workers[index]
        old.signal(number)
        status = await asyncio.to_thread(old.ended)
        await asyncio.to_thread(old.stop)
        self._left += old.output
        self.workers[index] = self.new_worker()
        await asyncio.to_thread(self.workers[index].start)
        return status

    def run(self, *arguments: str, **environment: str) -> str:
        """What a Python program with the environment of the fleet prints."""
        process = ServerProcess(arguments, 0, environment={**self.environment, **environment})
        done = subprocess.run(
            process.arguments, env=process.environment, cwd=process.cwd, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def says(self, text: str, times: int) -> None:
        """Wait until the servers have logged ``text`` so often."""
        for _ in range(int(PATIENCE / 0.05)):
            if self.output.count(text) >= times:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not {times} times {text!r}: {self.output}")

    @property
    def output(self) -> str:
        """What the servers have logged."""
        return "".join(server.output for server in self.servers)

    @property
    def output_of_workers(self) -> str:
        """What the workers have logged, those that are gone too."""
        return self._left + "".join(worker.output for worker in self.workers)


def resident(pid: int) -> int:
    """KiB of memory that a process holds; 0 where that cannot be told."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def descriptors(pid: int) -> int:
    """How many descriptors a process has open; 0 where that cannot be told."""
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
