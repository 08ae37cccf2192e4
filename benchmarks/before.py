"""What echo and fan-out cost against another checkout of routechan, in one run."""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import machine
from asgi_servers import HERE
from bench import Bench
from file_limit import raise_file_limit
from systems import ASYNC, ASYNC_UVICORN, PLAIN, PLAIN_UVICORN
from work.echo import ECHO
from work.fanout import FANOUT

#: What is measured: the work, the system of each checkout, and how many sockets.
WORK = {
    f"{title}, {name.removeprefix('routechan ')}": (work, name, count)
    for title, work, count in (("echo", ECHO, 64), ("fan-out", FANOUT, 1000))
    for name in (PLAIN, ASYNC, PLAIN_UVICORN, ASYNC_UVICORN)
}


def main() -> int:
    options = arguments()
    raise_file_limit(1200)
    checkouts = {"before": options.checkout.resolve(), "now": HERE.parent}
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    costs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(options.rounds):
        order = list(checkouts.items())
        if number % 2:
            order.reverse()
        for title in options.only:
            work, system, count = WORK[title]
            for name, root in order:
                gc.collect()
                with Bench(options.warmup, options.seconds, root=root) as bench:
                    sample = work.take(bench, system, count)
                rates[title, name].append(sample.rate)
                costs[title, name].append(sample.cpu_each)
                print(
                    f"round {number + 1}  {title:<27} {name:<7}{sample.rate:>10,.0f} a second"
                    f"  {sample.cpu_each:7.2f} us of CPU each, others {sample.others:4.0%}",
                    flush=True,
                )
    print(f"\n{machine.describe()}\n\n{'now against before':<27}{'rate':>8}{'CPU each':>10}   of each round")
    for title in options.only:
        rate = statistics.median(rates[title, "now"]) / statistics.median(rates[title, "before"])
        cost = statistics.median(costs[title, "now"]) / statistics.median(costs[title, "before"])
        each = sorted(now / before for now, before in zip(costs[title, "now"], costs[title, "before"], strict=True))
        print(f"{title:<27}{rate:>8.3f}{cost:>10.3f}   {each[0]:.3f} to {each[-1]:.3f}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a measured window (default 3)")
    parser.add_argument("--warmup", type=float, default=1, help="seconds before it (default 1)")
    parser.add_argument("--only", choices=list(WORK), action="append", help="measure this; may be repeated")
    options = parser.parse_args()
    if options.only is None:
        has_server = (options.checkout / "routechan" / "server").is_dir()
        options.only = [title for title, (_, name, _) in WORK.items() if has_server or name not in (PLAIN, ASYNC)]
    if not (options.checkout / "routechan" / "__init__.py").is_file():
        parser.error(f"{options.checkout} is no checkout of routechan: it has no routechan/__init__.py")
    return options


if __name__ == "__main__":
    sys.exit(main())
