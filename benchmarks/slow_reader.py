"""Does one client that never reads slow the others down? ``python benchmarks/slow_reader.py``"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import statistics
import time
from pathlib import Path

import machine
import picows
from server import HERE, Server, ServerError
from tables import page, rst_table

TEXT = picows.WSMsgType.TEXT
STAMP = 20
GOAL = 1.1
VARIANTS = ("sync", "async")


class Watched(Server):
    """A server that may say, once, that a client does not read; and nothing else."""

    def complaints(self) -> str:
        return "".join(line for line in super().complaints().splitlines(keepends=True) if "does not read" not in line)

    def dropped(self) -> bool:
        """Whether it has closed a client that does not read."""
        return "does not read" in super().complaints()


class Member(picows.WSListener):
    """One of the group; notes how long each message took. Lifetime: one sample."""

    def __init__(self, latencies: list[float]) -> None:
        self.latencies = latencies

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != TEXT:
            return  # the end of the sample
        sent = frame.get_payload_as_bytes()[:STAMP]
        self.latencies.append(time.perf_counter() - int(sent) / 1e9)


def never_reading(port: int, path: str) -> socket.socket:
    """A client that does the handshake and never reads again, with a small buffer of its own."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    if b" 101 " not in answer.splitlines()[0]:
        raise ServerError(f"the handshake was refused: {answer!r}")
    return client


async def sample(variant: str, slow: bool, options: argparse.Namespace, cpu: int | None) -> float:
    """The 99th percentile of the deliveries to those who read, in milliseconds."""
    latencies: list[float] = []
    path = f"/fanout/{variant}"
    filler = b"x" * (options.size - STAMP)
    with Watched("consumers:app", cpu=cpu) as server:
        transports = []
        for _ in range(options.sockets):
            transport, _ = await picows.ws_connect(lambda: Member(latencies), server.url + path)
            transports.append(transport)
        stuck = await asyncio.to_thread(never_reading, server.port, path) if slow else None
        began = time.perf_counter()
        sends = 0
        while time.perf_counter() - began < options.seconds:
            transports[0].send(TEXT, b"%0*d" % (STAMP, time.perf_counter_ns()) + filler)
            sends += 1
            await asyncio.sleep(max(0.0, began + sends / options.rate - time.perf_counter()))
        deadline = time.perf_counter() + 5
        while len(latencies) < sends * options.sockets and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        if len(latencies) != sends * options.sockets:
            raise ServerError(f"{len(latencies)} deliveries where {sends * options.sockets} were due")
        if slow and not server.dropped():
            raise ServerError("the client that never reads was not closed; choose more --seconds, --rate or --size")
        for transport in transports:
            transport.disconnect(graceful=False)
        if stuck is not None:
            stuck.close()
    return statistics.quantiles(latencies, n=100)[98] * 1000


def table(samples: dict[str, dict[str, list[float]]]) -> str:
    rows = [["variant", "p99 without it (ms)", "p99 with it (ms)", "ratio", "of single rounds", "goal"]]
    for variant, taken in samples.items():
        ratios = [with_it / without for with_it, without in zip(taken["with"], taken["without"], strict=True)]
        ratio = statistics.median(taken["with"]) / statistics.median(taken["without"])
        rows.append(
            [
                variant,
                f"{statistics.median(taken['without']):.2f}",
                f"{statistics.median(taken['with']):.2f}",
                f"{ratio:.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"at most {GOAL}: {'met' if ratio <= GOAL else 'MISSED'}",
            ]
        )
    return rst_table(rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=8, help="length of a sample (default 8)")
    parser.add_argument("--sockets", type=int, default=50, help="clients that read (default 50)")
    parser.add_argument("--rate", type=float, default=300, help="group sends per second (default 300)")
    parser.add_argument("--size", type=int, default=4000, help="bytes of a message (default 4000)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for table and samples")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    described = machine.describe()
    cpus = machine.cpus()
    server_cpu = cpus[0] if len(cpus) > 1 else None
    if server_cpu is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus[1:])
    samples: dict[str, dict[str, list[float]]] = {variant: {"without": [], "with": []} for variant in VARIANTS}
    for number in range(options.rounds):
        for variant in VARIANTS:
            for name in ("without", "with"):
                taken = asyncio.run(sample(variant, name == "with", options, server_cpu))
                samples[variant][name].append(taken)
                print(f"round {number + 1}: {variant} {name}: p99 {taken:.2f} ms", flush=True)
    facts = {
        **described,
        "code": machine.code(HERE.parent / "routechan", HERE),
        "sample": f"{options.seconds:g} s, {options.sockets} clients, "
        f"{options.rate:g} messages/s of {options.size} bytes",
        "command": "python benchmarks/slow_reader.py",
    }
    text = page("One client that never reads", facts, table(samples))
    print(text)
    options.out.mkdir(exist_ok=True)
    (options.out / "slow_reader.rst").write_text(text)
    (options.out / "slow_reader.json").write_text(json.dumps({"facts": facts, "p99_ms": samples}, indent=1) + "\n")


if __name__ == "__main__":
    main()
