"""Measures what a site's steps cost, and checks on four hosts what a model makes of them: ``scripts/scaling``."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path

import machine
import uvloop
from client import LoadError
from file_limit import raise_file_limit
from redis_server import RedisServer, RedisServerError
from running import ServerError

from . import check, crowd, measure, page
from .network import NoNetwork

PACKAGES = ("uvicorn", "uvloop", "picows", "redis", "hiredis", "msgpack")
SOCKETS = 10_000

#: Of a smoke run: small, and short.
SMOKE_MEASURE = measure.Sizes(rate=40, seconds=0.4, few=4, many=12, sockets=(20, 60))
SMOKE_CHECK = check.Sizes(rooms=(4, 4, 4), members=3, rate=40, seconds=0.5, windows=1)


def main() -> int:
    options = arguments()
    if options.render:
        page.Measured.load(page.FOLDER).save(page.FOLDER)
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that all we started ends with us
    try:
        measured = run(options)
    except (LoadError, RedisServerError, ServerError) as error:
        print(f"!! {error}", file=sys.stderr)
        return 1
    print(f"\n{page.costs_table(measured)}\n\n{page.sites_table(measured.costs)}\n\n{page.checked_text(measured)}\n")
    print(page.crowd_table(measured.crowd))
    if options.out is not None:
        measured.save(options.out)
        print(f"\nwritten: {options.out}")
    return 1 if not options.smoke and not all(each.holds for each in measured.checked) else 0


def run(options: argparse.Namespace) -> page.Measured:
    """Measure, check, and gather a crowd."""
    sockets = 300 if options.smoke else SOCKETS
    raise_file_limit(sockets + 500)
    facts = {**machine.describe(PACKAGES), "load before": machine.load_average()}
    with RedisServer() as redis:
        facts["Redis"] = f"{redis.version}, no persistence"
    measured = page.Measured(facts)
    for number in range(options.rounds):
        sizes = SMOKE_MEASURE if options.smoke else measure.Sizes()
        tell(f"round {number + 1} of {options.rounds}")
        measured.rounds.append(uvloop.run(measure.measure(sizes, tell)))
    try:
        sizes = SMOKE_CHECK if options.smoke else check.Sizes()
        measured.checked = uvloop.run(check.check(measured.costs, sizes, tell))
    except NoNetwork as error:
        measured.unchecked = str(error)
    measured.crowd = uvloop.run(crowd.crowd(sockets, 2 if options.smoke else 7, tell))
    facts["load after"] = machine.load_average()
    facts["rounds"] = str(options.rounds)
    facts["command"] = f"scripts/scaling {shlex.join(sys.argv[1:])}".strip()
    return measured


def tell(what: str) -> None:
    print(what, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/scaling", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="does all of it run, is nothing lost? Under a minute")
    size.add_argument("--render", action="store_true", help="measure nothing; write the tables of the last run again")
    parser.add_argument("--rounds", type=int, help="how often each cost is measured (5; --smoke 1)")
    parser.add_argument("--out", type=Path, help="folder for tables and samples (docs/scaling, unless --smoke)")
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = 1 if options.smoke else 5
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {options.rounds}")
    if options.out is None and not options.smoke:
        options.out = page.FOLDER
    return options


if __name__ == "__main__":
    sys.exit(main())
