"""The instructions a server executes for one echo, of this and of another checkout: exact where times are noise."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import picows
from load import PAYLOAD, TEXT
from server import COMMAND, HERE
from sockets import CONSUMERS

SOCKETS = 64
#: How many echoes the two runs of a sample have: what start, handshakes and end cost is the same in both.
FEW, MANY = 2000, 10_000
PATHS = {"plain": "/echo/sync", "async": "/echo/async"}


class Echo(picows.WSListener):
    """Sends again what comes back, until ``left`` are answered."""

    def __init__(self, left: list[int], done: asyncio.Future[None]) -> None:
        self.left = left
        self.done = done

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        self.left[0] -= 1
        if self.left[0] > 0:
            transport.send(TEXT, PAYLOAD)
        elif not self.done.done():
            self.done.set_result(None)


async def echo(url: str, count: int) -> None:
    """Let ``count`` messages be echoed, one on the way on each socket."""
    left, done = [count], asyncio.get_running_loop().create_future()
    transports = [(await picows.ws_connect(lambda: Echo(left, done), url))[0] for _ in range(SOCKETS)]
    for transport in transports:
        transport.send(TEXT, PAYLOAD)
    await done
    await asyncio.sleep(0.5)  # the last of the others
    for transport in transports:
        transport.disconnect(graceful=False)


def executed(root: Path, path: str, count: int) -> int:
    """The instructions of a server's life with ``count`` echoes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMAND, "--app-dir", str(HERE / "apps"), CONSUMERS]
    command[command.index("--port") + 1] = str(port)
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, *command],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0"},
        )
        try:
            wait_for_port(port, process)
            asyncio.run(echo(f"ws://127.0.0.1:{port}{path}", count))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
        log.seek(0)
        return int(re.findall(r"Collected : (\d+)", log.read())[0])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("the server did not start")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=2, help="(default 2)")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        parser.error("this needs valgrind; on Debian: apt-get install valgrind")
    roots = {"before": options.checkout.resolve(), "now": HERE.parent}
    for kind, path in PATHS.items():
        for _ in range(options.rounds):
            each = {
                name: (executed(root, path, MANY) - executed(root, path, FEW)) / (MANY - FEW)
                for name, root in roots.items()
            }
            before, now = each["before"], each["now"]
            print(f"{kind:<6} before {before:9,.0f}  now {now:9,.0f}  ratio {now / before:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
