"""Plays the whole suite against each server and says what differs: ``scripts/conformance``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from ..starting import serving
from . import tables
from .cases import cases
from .differences import KINDS
from .playing import PATHS, changes, outcomes

#: Seconds that one case may take on an idle machine: some are 16 MiB, and run beside others.
SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="SERVER", help=f"one of {', '.join(KINDS)}; all by default")
    parser.add_argument("--short", action="store_true", help="only the cases that the tests play")
    parser.add_argument("--tables", action="store_true", help="print the tables of docs/server.rst instead")
    options = parser.parse_args()
    if options.tables:
        print(tables.differences(), tables.told(), tables.versions(), sep="\n\n")
        return 0
    unknown = [kind for kind in options.kinds if kind not in KINDS]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(KINDS)}")
    suite = cases(whole=not options.short)
    changed = 0
    for kind in options.kinds or KINDS:
        with serving(KINDS[kind].command, "conformance.app", *KINDS[kind].arguments) as server:
            for path in PATHS:
                began = time.monotonic()
                found = outcomes(server, path, suite, SECONDS)
                counts = Counter(outcome.verdict.value for outcome in found.values())
                told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
                print(f"{kind}, {path}: {told}, in {time.monotonic() - began:.1f} s")
                for line in changes(kind, suite, found, SECONDS):
                    changed += 1
                    print(f"    {line}")
    return int(changed > 0)


if __name__ == "__main__":
    sys.exit(main())
