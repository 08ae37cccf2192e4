"""What echo and fan-out cost against another checkout of routechan, in one run."""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import load
import machine
import uvloop
from file_limit import raise_file_limit
from server import HERE, Server
from sockets import CONSUMERS, pin

#: What is measured: the path of its consumer, and whether it is a fan-out.
WORK = {
    "echo, plain": ("/echo/sync", False),
    "echo, async": ("/echo/async", False),
    "fan-out, plain": ("/fanout/sync", True),
    "fan-out, async": ("/fanout/async", True),
}


def main() -> int:
    options = arguments()
    raise_file_limit(options.fanout_sockets + 200)
    server_cpu, used = pin()
    checkouts = {"before": options.checkout.resolve(), "now": HERE.parent}
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    costs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(options.rounds):
        order = list(checkouts.items())
        if number % 2:
            order.reverse()
        for work in options.only or WORK:
            path, fans_out = WORK[work]
            for name, root in order:
                gc.collect()
                with Server(CONSUMERS, cpu=server_cpu, root=root) as server:
                    sample = uvloop.run(
                        (load.fanout if fans_out else load.echo)(
                            server,
                            path,
                            sockets=options.fanout_sockets if fans_out else options.echo_sockets,
                            warmup=options.warmup,
                            seconds=options.seconds,
                            cpus=used,
                        )
                    )
                rates[work, name].append(sample.rate)
                costs[work, name].append(sample.server_cpu / sample.rate)
                print(
                    f"round {number + 1}  {work:<15} {name:<7}{sample.rate:>10,.0f} a second"
                    f"  {costs[work, name][-1] * 1e6:7.2f} us of CPU each, others {sample.other_cpu:4.0%}",
                    flush=True,
                )
    print(f"\n{machine.describe()}\n\n{'now against before':<20}{'rate':>8}{'CPU each':>10}   of each round")
    for work in options.only or WORK:
        rate = statistics.median(rates[work, "now"]) / statistics.median(rates[work, "before"])
        cost = statistics.median(costs[work, "now"]) / statistics.median(costs[work, "before"])
        each = sorted(now / before for now, before in zip(costs[work, "now"], costs[work, "before"], strict=True))
        print(f"{work:<20}{rate:>8.3f}{cost:>10.3f}   {each[0]:.3f} to {each[-1]:.3f}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds (default 7)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a measured window (default 3)")
    parser.add_argument("--warmup", type=float, default=1, help="seconds before it (default 1)")
    parser.add_argument("--only", choices=list(WORK), action="append", help="measure this; may be repeated")
    parser.add_argument("--echo-sockets", type=int, default=64)
    parser.add_argument("--fanout-sockets", type=int, default=1000)
    options = parser.parse_args()
    if not (options.checkout / "routechan" / "__init__.py").is_file():
        parser.error(f"{options.checkout} is no checkout of routechan: it has no routechan/__init__.py")
    return options


if __name__ == "__main__":
    sys.exit(main())
