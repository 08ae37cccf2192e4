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
from asgi_servers import HERE
from client import TEXT
from framing import PLAIN
from running import free_ports
from systems import APPS, ASYNC_UVICORN, PLAIN_UVICORN, SYSTEMS

SOCKETS = 64
#: How many echoes the two runs of a sample have: what start, handshakes and end cost is the same in both.
FEW, MANY = 2000, 10_000
KINDS = {"plain": PLAIN_UVICORN, "async": ASYNC_UVICORN}


class Echo(picows.WSListener):
    """Sends again what comes back, until ``left`` are answered."""

    def __init__(self, left: list[int], done: asyncio.Future[None]) -> None:
        self.left = left
        self.done = done

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        self.left[0] -= 1
        if self.left[0] > 0:
            transport.send(TEXT, PLAIN.message)
        elif not self.done.done():
            self.done.set_result(None)


async def echo(url: str, count: int) -> None:
    """Let ``count`` messages be echoed, one on the way on each socket."""
    left, done = [count], asyncio.get_running_loop().create_future()
    transports = [(await picows.ws_connect(lambda: Echo(left, done), url))[0] for _ in range(SOCKETS)]
    for transport in transports:
        transport.send(TEXT, PLAIN.message)
    await done
    await asyncio.sleep(0.5)  # the last of the others
    for transport in transports:
        transport.disconnect(graceful=False)


def executed(root: Path, name: str, count: int) -> int:
    """The instructions of a server's life with ``count`` echoes."""
    system = SYSTEMS[name]
    target = system.targets["echo"]
    (port,) = free_ports(1)
    command = [part.format(host="127.0.0.1", port=port, app=target.app) for part in system.server]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
            stdout=log,
            stderr=log,
            cwd=APPS,
            env={**os.environ, "PYTHONPATH": f"{APPS}{os.pathsep}{root}", "PYTHONHASHSEED": "0"},
        )
        try:
            wait_for_port(port, process)
            asyncio.run(echo(f"ws://127.0.0.1:{port}{target.path}", count))
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
    for kind, system in KINDS.items():
        for _ in range(options.rounds):
            each = {
                name: (executed(root, system, MANY) - executed(root, system, FEW)) / (MANY - FEW)
                for name, root in roots.items()
            }
            before, now = each["before"], each["now"]
            print(f"{kind:<6} before {before:9,.0f}  now {now:9,.0f}  ratio {now / before:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
