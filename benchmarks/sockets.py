"""What routechan's consumers cost on top of a bare ASGI app: echo, fan-out, memory."""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import load
import machine
import uvloop
from calm import undisturbed
from chart import draw
from file_limit import raise_file_limit
from results import BARE, Benchmark, Goal, as_json, document
from server import COMMAND, HERE, OURS, UVICORN, Server, ServerError

CONSUMERS = "consumers:app"


class Variant(NamedTuple):
    """What is measured: an application, the path of its consumer, what reads its sockets, and what it is to reach."""

    app: str
    path: str
    protocol: str = UVICORN
    goal: Goal | None = None


def variants(work: str, bare: str, on_uvicorn: Goal, on_ours: Goal, bare_on_ours: Goal) -> dict[str, Variant]:
    """The bare application and consumers of both kinds, on both protocols."""
    return {
        BARE: Variant(bare, "/"),
        f"{BARE}, ours": Variant(bare, "/", OURS, bare_on_ours),
        "sync": Variant(CONSUMERS, f"/{work}/sync", UVICORN, on_uvicorn),
        "async": Variant(CONSUMERS, f"/{work}/async", UVICORN, on_uvicorn),
        "sync, ours": Variant(CONSUMERS, f"/{work}/sync", OURS, on_ours),
        "async, ours": Variant(CONSUMERS, f"/{work}/async", OURS, on_ours),
    }


VARIANTS = {
    "echo": variants("echo", "bare_echo:app", Goal(0.8), Goal(1.25), Goal(1.6)),
    "fanout": variants("fanout", "bare_fanout:app", Goal(0.95), Goal(1.8), Goal(1.6)),
    "memory": variants(
        "echo",
        "bare_echo:app",
        *(Goal(bound, at_least=False) for bound in (1.2, 0.58, 0.58)),  # 11 of 19 KiB
    ),
}
MEASURED = (HERE.parent / "routechan", HERE / "apps")
CHANNELS4 = Variant("channels4_echo:app", "/")


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the server ends with us
    raise_file_limit(max(options.fanout_sockets, options.idle_sockets) + 200)
    facts = {**machine.describe(), "load before": machine.load_average(), "code": machine.code(*MEASURED)}
    server_cpu, used = pin() if options.pin else (None, machine.cpus())
    done = []
    try:
        for name in options.only or list(VARIANTS):
            done.append(run(name, options, server_cpu, used))
    except (ServerError, load.LoadError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if machine.code(*MEASURED) != facts["code"]:
        print(
            "\nThe code changed while it was measured: the samples are not of one version. Run again.", file=sys.stderr
        )
        return 1
    facts |= {
        "load after": machine.load_average(),
        "discarded": f"{sum(each.discarded for each in done)} samples, taken while other processes used the CPUs",
        "pinned": "yes" if server_cpu is not None else "no",
        "window": f"{options.seconds:g} s after {options.warmup:g} s, sockets: echo {options.echo_sockets}, "
        f"fan-out {options.fanout_sockets}, memory {options.idle_sockets}",
        "server": f"python {' '.join(COMMAND)} APP; ours: --ws {OURS}",
        "command": f"python benchmarks/sockets.py {shlex.join(sys.argv[1:])}".strip(),
    }
    text = document(done, facts)
    print(f"\n{text}")
    write(done, facts, text, options)
    return 0


def run(name: str, options: argparse.Namespace, server_cpu: int | None, used: list[int]) -> Benchmark:
    """Every variant once a round, each in a server process of its own: A B C, A B C, ...

    A sample that other processes disturbed is taken again, ``--retakes`` times at most.
    """
    benchmark, measure = prepare(name, options, used)
    measured = dict(VARIANTS[name])
    if options.channels4 and name == "echo":
        measured["channels4"] = CHANNELS4
    for number in range(options.rounds):
        for variant, what in measured.items():

            def take(what: Variant = what) -> load.Sample:
                gc.collect()
                with Server(what.app, protocol=what.protocol, cpu=server_cpu) as server:
                    return measure(server, what.path)

            sample, discarded = undisturbed(
                take,
                partial(tell, name, number + 1, variant, benchmark),
                cpus=used,
                patience=options.patience,
                retakes=options.retakes,
            )
            benchmark.discarded += discarded
            benchmark.add(variant, sample)
    return benchmark


def tell(name: str, number: int, variant: str, benchmark: Benchmark, sample: load.Sample, again: bool) -> None:
    """One line of progress."""
    line = f"{name:<7} round {number}  {variant:<11} {sample.rate:>10,.0f} {benchmark.unit:<13}"
    if sample.server_cpu:
        line += (
            f"  CPU: server {sample.server_cpu:4.0%}, client {sample.client_cpu:4.0%}, others {sample.other_cpu:4.0%}"
        )
    print(line + ("  disturbed, taken again" if again else "  DISTURBED" if sample.disturbed else ""), flush=True)


def prepare(
    name: str, options: argparse.Namespace, used: list[int]
) -> tuple[Benchmark, Callable[[Server, str], load.Sample]]:
    """What to measure, and the call that takes one sample of it."""
    goals = {variant: what.goal for variant, what in VARIANTS[name].items() if what.goal is not None}
    timing = {"warmup": options.warmup, "seconds": options.seconds, "cpus": used}
    if name == "echo":
        count = options.echo_sockets
        benchmark = Benchmark("echo", f"Echo, {count} sockets", "messages/s", goals)
        return benchmark, lambda server, path: uvloop.run(load.echo(server, path, sockets=count, **timing))
    if name == "fanout":
        members = options.fanout_sockets
        benchmark = Benchmark("fanout", f"Fan-out to {members} sockets", "deliveries/s", goals)
        return benchmark, lambda server, path: uvloop.run(load.fanout(server, path, sockets=members, **timing))
    silent = options.idle_sockets
    benchmark = Benchmark("memory", f"Memory, {silent} idle sockets", "bytes/socket", goals)
    return benchmark, lambda server, path: load.Sample(uvloop.run(load.idle(server, path, sockets=silent)))


def write(done: list[Benchmark], facts: dict[str, str], text: str, options: argparse.Namespace) -> None:
    """The table, the samples and the chart. A partial run leaves the results of the last full one alone."""
    if options.out is None and options.only:
        print("not written: a run with --only is written where --out says")
        return
    folder = options.out or HERE / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sockets.rst").write_text(f"{text}\n.. image:: sockets.svg\n   :alt: The ratios as bars\n")
    (folder / "sockets.json").write_text(as_json(done, facts))
    draw(done, facts, folder / "sockets.svg")
    print(f"written: {os.path.relpath(folder)}/sockets.rst, .json, .svg")


def pin() -> tuple[int | None, list[int]]:
    """Pin the client to the second CPU; return the first, for the server, and all in use. None with a single CPU."""
    usable = machine.cpus()
    if len(usable) < 2 or not hasattr(os, "sched_setaffinity"):
        return None, usable
    os.sched_setaffinity(0, {usable[1]})
    return usable[0], usable[:2]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(VARIANTS), action="append", help="measure this; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=4, help="length of a measured window (default 4)")
    parser.add_argument("--warmup", type=float, default=1, help="seconds before it (default 1)")
    parser.add_argument("--echo-sockets", type=int, default=64)
    parser.add_argument("--fanout-sockets", type=int, default=1000)
    parser.add_argument("--idle-sockets", type=int, default=2000)
    parser.add_argument("--channels4", action="store_true", help="echo: a sync consumer of Channels 4 as well")
    parser.add_argument("--patience", type=float, default=10, help="wait so long for calm before a sample (default 10)")
    parser.add_argument("--retakes", type=int, default=3, help="how often to repeat a disturbed sample (default 3)")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="let the system choose the CPUs")
    parser.add_argument("--out", type=Path, help="folder for table, samples and chart (default benchmarks/results)")
    options = parser.parse_args()
    for name in ("rounds", "echo_sockets", "fanout_sockets", "idle_sockets"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, not {getattr(options, name)}")
    if options.channels4 and find_spec("channels") is None:
        parser.error("--channels4 needs Channels 4: pip install 'channels>=4,<5'")
    return options


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"took {time.monotonic() - started:.0f} s")
    sys.exit(status)
