"""The command line of ``scripts/soak``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from .run import Soak
from .site import Site

#: Seconds from which on a run has a worker that stays, and a crowd as large as a site may see.
LONG = 300


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=3600, help="how long (default: an hour)")
    parser.add_argument("--sockets", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.4, help="seconds between two messages of a socket")
    parser.add_argument("--workers", type=int, default=3, help=f"that are restarted; from {LONG} s on one more stays")
    parser.add_argument("--crowd", type=int, default=500, help="clients that come at once, each time but the first")
    parser.add_argument("--first-crowd", type=int, help=f"the first time; 5000 from {LONG} s on, else as the others")
    parser.add_argument("--patience", type=float, default=1, help="2: twice the lease and the timeout of Redis")
    parser.add_argument("--only", default="", help="the phases with this in their names, such as storms")
    options = parser.parse_args(arguments)
    long = options.seconds >= LONG
    first = options.first_crowd or (5000 if long else options.crowd)
    with Site(workers=options.workers, steady=long, patience=options.patience) as site:
        soak = Soak(site, options.seconds, options.sockets, options.pause, [first, options.crowd])
        asyncio.run(soak.run(options.only))
    for line in soak.broken:
        print(f"BROKEN: {line}", flush=True)
    print("a promise is broken" if soak.broken else "all promises hold")
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
