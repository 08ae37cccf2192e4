"""A Redis server of the benchmark's own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Any

import redis

OWN_COMMANDS = ("info", "config", "client", "flushall", "command", "hello", "cluster")


class RedisServerError(Exception):
    """There is no Redis server here, or it does not start."""


class RedisServer:
    """``redis-server`` on a free port, without persistence, until the ``with`` block ends.

    Args:
        address: Where it listens.
        options: More words of its command.
        patience: The seconds within which it has to answer.
    """

    def __init__(self, *, address: str = "127.0.0.1", options: tuple[str, ...] = (), patience: float = 10) -> None:
        self.address = address
        self._options = options
        self._patience = patience

    def __enter__(self) -> RedisServer:
        program = shutil.which("redis-server")
        if program is None:
            raise RedisServerError("no redis-server found: install Redis 6.2 or later")
        self._folder = tempfile.TemporaryDirectory()
        with socket.socket() as free:
            free.bind((self.address, 0))
            self.port: int = free.getsockname()[1]
        self._process = subprocess.Popen(
            [
                *(program, "--bind", self.address, "--port", str(self.port), "--appendonly", "no", "--save", ""),
                *self._options,
            ],
            cwd=self._folder.name,
            stdout=subprocess.DEVNULL,
        )
        self._client = redis.Redis(self.address, self.port)
        deadline = time.monotonic() + self._patience
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self._stop()
                raise RedisServerError(f"{program} does not answer on port {self.port}")
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def version(self) -> str:
        return str(self._client.info("server")["redis_version"])

    def empty(self) -> None:
        """Remove what the last sample left."""
        self._client.flushall()

    def connections(self) -> int:
        """How many there are beside our own."""
        return len(self._client.client_list()) - 1

    def forget_times(self) -> None:
        self._client.config_resetstat()

    def microseconds(self) -> dict[str, int]:
        """Time spent in each command since ``forget_times``, but for the commands of this class."""
        return self._stats("usec")

    def calls(self) -> dict[str, int]:
        """How often each command was called since ``forget_times``, but for the commands of this class."""
        return self._stats("calls")

    def ask(self, *command: object) -> Any:
        """The reply to one command."""
        return self._client.execute_command(*command)

    def ask_together(self, commands: list[tuple[object, ...]]) -> None:
        """Commands that are sent together, as a pipeline without a transaction."""
        with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            pipeline.execute()

    def _stats(self, what: str) -> dict[str, int]:
        found: dict[str, Any] = self._client.info("commandstats")
        stats = {name.removeprefix("cmdstat_"): each[what] for name, each in found.items()}
        return {name: value for name, value in stats.items() if name.split("|")[0] not in OWN_COMMANDS}

    def _answers(self) -> bool:
        try:
            return bool(self._client.ping())
        except redis.ConnectionError:
            return False

    def _stop(self) -> None:
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
