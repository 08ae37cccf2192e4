"""Measures routechan and its peers in one run: ``scripts/bench``, or ``python benchmarks/run.py``."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import machine
import report
from asgi_servers import HERE
from bench import Bench
from file_limit import raise_file_limit
from goals import GOALS, judge
from redis_server import RedisServerError
from results import Results
from rounds import Plan, measure
from work import WORK

PACKAGES = (
    *("uvicorn", "uvloop", "httptools", "websockets", "picows", "granian", "gunicorn", "daphne", "hypercorn"),
    *("django", "channels", "channels_redis", "redis", "hiredis", "msgpack", "starlette", "python-socketio"),
)
FOLDERS = (HERE.parent / "routechan", HERE.parent / "routechan_django", HERE)
FILES = 10_500


def main() -> int:
    options = arguments()
    if options.render:
        results = Results.load(report.files(options.out)[1])
        report.write(results, options.out)
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that all we started ends with us
    raise_file_limit(FILES)
    works = [WORK[name] for name in options.only or WORK]
    results = Results({**machine.describe(PACKAGES), "load before": machine.load_average()})
    results.facts["code"] = machine.code(*FOLDERS)
    began = time.monotonic()
    try:
        with Bench(options.warmup, options.seconds, pin=options.pin) as bench:
            results.facts["Redis"] = f"{bench.redis.version}, no persistence"
            measure(bench, works, plan_of(options), results)
    except RedisServerError as error:
        print(f"!! {error}", file=sys.stderr)
        return 1
    results.facts |= {
        "load after": machine.load_average(),
        "pinned": "systems of one process to one CPU, the client to another" if bench.pinned else "no",
        "window": f"{options.seconds:g} s after {options.warmup:g} s",
        "rounds": f"{options.rounds} of what goals compare, {options.other_rounds} of the rest",
        "took": f"{(time.monotonic() - began) / 60:.0f} minutes",
        "command": f"scripts/bench {shlex.join(sys.argv[1:])}".strip(),
    }
    return finish(results, options)


def finish(results: Results, options: argparse.Namespace) -> int:
    """Tell, write, and return the status: 1 if anything failed, was lost or came twice."""
    if not options.smoke:
        print(f"\n{report.goals_table([judge(goal, results) for goal in report.measured(GOALS, results)])}\n")
    for name, why in results.missing.items():
        print(f"missing: {name}: {why}")
    for (work, name, point), why in results.failed.items():
        print(f"FAILED: {work}, {name}, {point}: {why}")
    ran = sum(len(samples) for samples in results.samples.values())
    print(f"{ran} samples of {len(results.systems)} systems in {results.facts['took']}, {len(results.failed)} failed")
    if machine.code(*FOLDERS) != results.facts["code"]:
        print("!! The code changed while it was measured: the samples are not of one version.", file=sys.stderr)
        return 1
    if options.out is None:
        print("not written: a run that is not the whole is written where --out says")
    else:
        report.write(results, options.out)
        told = ", ".join(os.path.relpath(path) for path in report.files(options.out))
        print(f"written: {told}")
    return 1 if results.failed else 0


def plan_of(options: argparse.Namespace) -> Plan:
    return Plan(
        rounds=options.rounds,
        other_rounds=options.other_rounds,
        only_goals=options.short,
        smoke=options.smoke,
        patience=options.patience,
        retakes=options.retakes,
        systems=tuple(options.systems or ()),
    )


#: What options are where they are not given: of a whole run, of ``--short`` and of ``--smoke``.
DEFAULTS = {
    "rounds": (5, 1, 1),
    "seconds": (1.5, 0.7, 0.3),
    "warmup": (0.5, 0.3, 0.1),
    "patience": (5.0, 0.0, 0.0),
    "retakes": (2, 0, 0),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="one round of what goals compare: under five minutes")
    size.add_argument("--smoke", action="store_true", help="does all of it run? Every system and every work once")
    size.add_argument("--render", action="store_true", help="measure nothing; write page and charts of the last run")
    parser.add_argument("--only", choices=list(WORK), action="append", help="this work; may be repeated")
    parser.add_argument(
        "--systems", metavar="PART", action="append", help="systems with this in their name; repeatable"
    )
    parser.add_argument("--rounds", type=int, help="alternating rounds of what goals compare (5; --short 1)")
    parser.add_argument("--other-rounds", type=int, default=2, help="of the rest (2; 1 of what takes long)")
    parser.add_argument("--seconds", type=float, help="of a window (1.5; --short 0.7)")
    parser.add_argument("--warmup", type=float, help="seconds before it (0.5; --short 0.3)")
    parser.add_argument("--patience", type=float, help="wait so long for calm before a sample (5; --short 0)")
    parser.add_argument("--retakes", type=int, help="how often to take a disturbed sample again (2; --short 0)")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="let the system choose the CPUs")
    parser.add_argument("--out", type=Path, help="folder for page, charts and samples (docs, of a whole run)")
    options = parser.parse_args()
    for name, values in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, values[1 if options.short else 2 if options.smoke else 0])
    for name in ("rounds", "other_rounds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, not {getattr(options, name)}")
    if options.out is None and not (options.only or options.systems or options.short or options.smoke):
        options.out = HERE.parent / "docs"
    return options


if __name__ == "__main__":
    sys.exit(main())
