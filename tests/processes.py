"""Real server processes for tests: started on a free port, stopped again, their output kept."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent

#: Seconds a server may take to start, and to stop, on a machine that does a dozen things beside. Only a failure
#: takes so long.
PATIENCE = 60.0


def free_port(count: int = 1) -> int:
    """The first of ``count`` ports in a row that nobody has.

    None of those that the system hands out by itself: another test's connection might be given it a moment later.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with suppress(OSError), ExitStack() as probes:
            for number in range(count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            return port


class ServerProcess:
    """``python ARGUMENTS`` serving on ``port``. Use with ``with``: entering waits until it answers."""

    def __init__(
        self, arguments: Sequence[str], port: int, *, cwd: Path = ROOT, environment: dict[str, str] | None = None
    ) -> None:
        self.arguments = [sys.executable, *arguments]
        self.port = port
        self.cwd = cwd
        paths = [str(cwd), str(ROOT)]
        # The settings of the tests are not those of the project that is served.
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self.lines: list[str] = []
        self.kind = ""

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def __enter__(self) -> ServerProcess:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.arguments,
            cwd=self.cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_until(self.answers, "it answers")

    def stop(self) -> None:
        """As its user would: SIGTERM to the whole group, SIGKILL if that does not help."""
        for number in (15, 9):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
                break
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Poll ``condition()`` until it is true; fails with the output after ``PATIENCE``, or when the process ends."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if condition():
                return
            if self.process.poll() is not None:
                break
            threading.Event().wait(0.05)
        raise AssertionError(f"the server did not come to where {what}:\n{self.output}")

    def _read(self) -> None:
        if self.process.stdout is not None:
            with suppress(ValueError):
                self.lines.extend(iter(self.process.stdout.readline, ""))
