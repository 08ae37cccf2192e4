"""All clients come back at once, as after a restart of the proxy, to servers that run the consumers themselves."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.processes import ServerProcess
from tests.storms import come_and_go

from .test_fuzz import held

pytestmark = pytest.mark.slow

#: Without gunicorn, inside which uvicorn serves, and hypercorn: 0.18 keeps each socket that ends without a close frame.
KINDS = ("uvicorn", "daphne", "granian")

CLIENTS = 300


async def test_all_come_back_at_once(server: ServerProcess) -> None:
    """Nobody is left out, or refused unless the time for handshakes is over; then the server holds what it held."""

    async def holds() -> Counter[str]:
        return Counter(await held(server))

    logged = len(server.output)
    refusals = await come_and_go([server.port], "/lobby/full/", CLIENTS, holds)
    late = "was not accepted within" in server.output[logged:]
    assert set(refusals) <= ({403} if late else set()), f"{refusals}\n{server.output[logged:]}"
