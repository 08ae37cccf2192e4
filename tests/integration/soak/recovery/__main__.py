"""The command line of ``scripts/soak --recovery``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from .run import Recovery
from .site import Site


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak --recovery", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=1200, help="how long (default: 20 minutes)")
    parser.add_argument("--members", type=int, default=500, help="clients")
    parser.add_argument("--groups", type=int, default=10, help="that the clients share")
    parser.add_argument("--rate", type=float, default=10, help="messages a second to each group")
    parser.add_argument("--pause", type=float, default=8, help="seconds between two cuts of a client, on average")
    parser.add_argument("--lease", type=float, default=6, help="seconds until a process without a sign of life is dead")
    parser.add_argument("--only", default="", help="the phases with this in their names, such as Redis")
    options = parser.parse_args(arguments)
    with Site(options.lease) as site:
        run = Recovery(
            site,
            options.seconds,
            members=options.members,
            groups=options.groups,
            rate=options.rate,
            pause=options.pause,
        )
        asyncio.run(run.run(options.only))
    for line in run.broken:
        print(f"BROKEN: {line}", flush=True)
    print("a promise is broken" if run.broken else "all promises hold")
    return 1 if run.broken else 0


if __name__ == "__main__":
    sys.exit(main())
