"""A uvicorn process of its own for one run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent

#: What reads the sockets of a server: uvicorn's own protocol, or ours.
UVICORN, OURS = "websockets-sansio", "routechan.server:WebSocketProtocol"

COMMAND = [
    "-m",
    "uvicorn",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--ws",
    UVICORN,
    "--ws-per-message-deflate",
    "false",
    "--loop",
    "uvloop",
    "--http",
    "httptools",
    "--no-access-log",
    "--no-use-colors",
]
STARTED = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")


class ServerError(Exception):
    """The server did not start, or wrote an error."""


class Server:
    """``app`` served until the ``with`` block ends. Lifetime: one run.

    ``protocol`` is what reads its sockets; ``cpu`` pins the process; ``root`` is the checkout whose routechan it serves
    with. Raises ServerError, with what the server wrote, if it does not start in ``patience`` seconds or wrote anything
    but information by the end.
    """

    def __init__(
        self,
        app: str,
        *,
        protocol: str = UVICORN,
        cpu: int | None = None,
        patience: float = 20,
        root: Path = HERE.parent,
    ) -> None:
        self.app = app
        self._command = [protocol if part == UVICORN else part for part in COMMAND]
        self._root = root
        self._cpu = cpu
        self._patience = patience

    def __enter__(self) -> Server:
        self._log = tempfile.TemporaryFile("w+")
        path = os.pathsep.join(filter(None, [str(self._root), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, *self._command, "--app-dir", str(HERE / "apps"), self.app],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": path},
        )
        if self._cpu is not None:
            os.sched_setaffinity(self._process.pid, {self._cpu})
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()
        wrong = self.complaints()
        if wrong:
            raise ServerError(f"{self.app}: the server wrote\n{wrong}") from error

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far. Linux only; elsewhere 0."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Bytes of memory it holds. Linux only."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def complaints(self) -> str:
        """What it wrote beside information."""
        return "".join(line for line in self._lines() if not line.startswith("INFO:"))

    def _lines(self) -> list[str]:
        # The descriptor is shared with the process, and so is its position: read without moving it.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace").splitlines(keepends=True)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline and self._process.poll() is None:
            started = STARTED.search("".join(self._lines()))
            if started:
                return int(started[1])
            time.sleep(0.02)
        raise ServerError(f"{self.app}: the server did not start; it wrote\n{''.join(self._lines())}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
