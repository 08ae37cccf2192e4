"""Plays the suite against one kind of server, and compares the outcomes with the list of differences."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.processes import ServerProcess
from tests.waiting import stretched

from ..starting import serving
from .client import Case, Outcome, Peer, Verdict, echo, play_all
from .differences import KINDS, expected

#: The paths that echo: with a consumer that is ``async def``, and with a plain one.
PATHS = ("/aecho/", "/echo/")


def outcomes(server: ServerProcess, path: str, cases: Sequence[Case], seconds: float) -> dict[str, Outcome]:
    """What a server makes of each case; afterwards it has to serve the next client.

    Args:
        server: The server.
        path: The path that echoes.
        cases: The cases.
        seconds: How long one case may take on an idle machine.
    """

    async def run() -> dict[str, Outcome]:
        found = await play_all(cases, server.port, path, seconds=stretched(seconds))
        await echo(server.port, path)
        return found

    return asyncio.run(run())


def changes(kind: str, cases: Sequence[Case], found: dict[str, Outcome], seconds: float) -> list[str]:
    """How outcomes differ from what is known of the server, a line for each case.

    Known is the list of differences. Where packages of other versions are installed, it is what the same server makes
    of an application without the library: another release may mend or break what it likes, but ours adds nothing.
    """
    known, source = expected(kind, cases), "the list of differences"
    if not KINDS[kind].listed and any(found[id].verdict is not verdict for id, verdict in known.items()):
        known, source = bare(kind, cases, seconds), "an application without the library"
    return [
        f"{case.id} ({case.about}) is {found[case.id].verdict.value}, and {known[case.id].value} by {source}: "
        f"{found[case.id].seen}"
        for case in cases
        if found[case.id].verdict is not known[case.id]
    ]


def bare(kind: str, cases: Sequence[Case], seconds: float) -> dict[str, Verdict]:
    """The verdicts on a server of this kind with the application of ``bare.py``."""
    with serving(KINDS[kind].command, "conformance.bare", *KINDS[kind].arguments) as server:
        return {id: outcome.verdict for id, outcome in outcomes(server, "/", cases, seconds).items()}


async def leave(port: int, path: str, data: bytes) -> None:
    """A client that has an echo, sends ``data`` if there is any, waits for the server to end that, and is gone."""
    peer = Peer(port, path)
    try:
        await asyncio.wait_for(peer.leave(data), stretched(20))
    finally:
        await peer.end()
