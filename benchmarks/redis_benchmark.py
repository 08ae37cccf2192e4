"""The frame of a benchmark that starts a Redis server of its own: options, what was measured on, where results go."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import machine
from comparison import Measure, Ratio, as_json, document
from file_limit import raise_file_limit
from redis_server import RedisServer, RedisServerError
from server import HERE

Facts = dict[str, str]


def parser_of(description: str | None, work: Sequence[str], warmup: float) -> argparse.ArgumentParser:
    """The options that all of them have; ``warmup`` is what the help names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", choices=work, action="append", help="measure this; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument("--rounds", type=int, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=float, help="length of a measured window (default 2)")
    parser.add_argument("--warmup", type=float, help=f"seconds before it (default {warmup:g})")
    parser.add_argument("--patience", type=float, help="wait so long for calm before a sample (default 10)")
    parser.add_argument("--retakes", type=int, help="how often to repeat a disturbed sample (default 3)")
    parser.add_argument("--out", type=Path, help="folder for what is written (default benchmarks/results)")
    return parser


def parse(
    parser: argparse.ArgumentParser, *, full: dict[str, Any], quick: dict[str, Any], from_one: Sequence[str]
) -> argparse.Namespace:
    """What was given, else what ``full`` or ``quick`` says; the numbers ``from_one`` are at least 1."""
    full = {"rounds": 5, "seconds": 2.0, "patience": 10.0, "retakes": 3, **full}
    quick = {"rounds": 1, "patience": 0.0, "retakes": 0, **quick}
    options = parser.parse_args()
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    for name in from_one:
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(options, name)}")
    return options


def run(
    name: str,
    title: str,
    options: argparse.Namespace,
    *,
    packages: Sequence[str],
    folders: Sequence[Path],
    files: int,
    measure: Callable[[RedisServer, Facts], list[Measure]],
    goals: Callable[[dict[str, Measure]], Iterable[Ratio]],
    table: Callable[[Measure], str],
    window: str = "",
    draw: Callable[[list[Measure], Facts, Path], bool] | None = None,
) -> list[Measure] | None:
    """Measure, print and write; None, told, where there is no result.

    ``packages`` and the code in ``folders`` are what was measured; ``files`` how many may have to be open;
    ``window`` is told with the length of one; ``draw`` makes a chart, and says whether it did.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that all we started ends with us
    raise_file_limit(files)
    facts = {**machine.describe(packages), "load before": machine.load_average(), "code": machine.code(*folders)}
    try:
        with RedisServer() as server:
            facts["Redis"] = f"{server.version}, no persistence"
            done = measure(server, facts)
    except RedisServerError as error:
        print(f"\n{error}", file=sys.stderr)
        return None
    if machine.code(*folders) != facts["code"]:
        told = "The code changed while it was measured: the samples are not of one version."
        if not options.quick:
            print(f"\n{told} Run again.", file=sys.stderr)
            return None
        facts["code"] += f". {told}"
    facts |= {
        "load after": machine.load_average(),
        "discarded": f"{sum(each.discarded for each in done)} samples, taken while other processes used the CPUs",
        "window": f"{options.seconds:g} s after {options.warmup:g} s{window}",
        "command": f"python benchmarks/{name}.py {shlex.join(sys.argv[1:])}".strip(),
    }
    ratios = list(goals({each.name: each for each in done}))
    text = document(title, done, ratios, facts, table)
    print(f"\n{text}")
    if options.out is None and (options.only or options.quick):  # the results of the last full run stay
        print("not written: a run with --only or --quick is written where --out says")
        return done
    folder = options.out or HERE / "results"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw is not None and draw(done, facts, folder / f"{name}.svg")
    picture = f"\n.. image:: {name}.svg\n   :alt: The rates as curves\n" if drawn else ""
    (folder / f"{name}.rst").write_text(text + picture)
    (folder / f"{name}.json").write_text(as_json(done, ratios, facts))
    print(f"written: {os.path.relpath(folder)}/{name}.rst, .json{', .svg' if drawn else ''}")
    return done
