"""All clients come back at once, as after a restart of the proxy, to servers whose consumers are in workers."""

from __future__ import annotations

from tests.crowd import Crowd
from tests.waiting import until

from .fleet import Fleet, descriptors, resident

#: ``scripts/soak`` does it with 5,000.
CLIENTS = 400

#: What a storm may leave in a server process that has seen one: memory that came later to be measured, in KiB.
SLACK = 8 * 1024


async def test_all_come_back_at_once(fleet: Fleet) -> None:
    """Nobody is left out, or refused but for the time that a handshake has; memory and descriptors come back.

    The second time needs no more than the first. Beyond what the limits say nobody is refused, and none is on.
    """
    pids = [server.process.pid for server in fleet.servers]
    before = [descriptors(pid) for pid in pids]
    logged = len(fleet.output)
    memory = []
    for _ in range(3):
        async with Crowd([server.port for server in fleet.servers], "/echo/", CLIENTS) as crowd:
            assert sum(map(descriptors, pids)) >= sum(before) + CLIENTS
            assert crowd.lost == 0
        in_vain = fleet.output[logged:].count("was not accepted within")
        assert set(crowd.refusals) <= ({403} if in_vain else set()), f"{crowd.refusals}\n{fleet.output[logged:]}"
        await until(lambda: [descriptors(pid) for pid in pids] == before, "all descriptors are closed", 30)
        memory.append(sum(map(resident, pids)))
    assert memory[-1] <= memory[0] + SLACK, f"KiB after each time: {memory}"
