"""All clients come back at once, as after a restart of the proxy, to servers whose consumers are in workers."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.held import ask
from tests.storms import come_and_go

from .fleet import Fleet

#: ``scripts/soak`` does it with 5,000.
CLIENTS = 400


async def test_all_come_back_at_once(fleet: Fleet) -> None:
    """Nobody is left out, or refused unless the time for handshakes is over; then the servers hold what they held."""
    ports = [server.port for server in fleet.servers]

    async def held() -> Counter[str]:
        return sum([Counter(await asyncio.to_thread(ask, port)) for port in ports], Counter())

    logged = len(fleet.output)
    refusals = await come_and_go(ports, "/echo/", CLIENTS, held)
    late = "was not accepted within" in fleet.output[logged:]
    assert set(refusals) <= ({403} if late else set()), f"{refusals}\n{fleet.output[logged:]}"
