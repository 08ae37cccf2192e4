"""Which fault when: a round has one phase of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from .clients import Clients
from .faults import Cost, Faults


class Phase(NamedTuple):
    """``fault`` is repeated for ``share`` of the time of a round, and happens once at least."""

    name: str
    share: float
    fault: Callable[[], Awaitable[Cost]]


def phases_of_round(faults: Faults, clients: Clients) -> list[Phase]:
    return [
        Phase("restarted workers", 0.24, faults.restart),
        Phase("killed workers", 0.10, faults.kill),
        Phase("slow networks", 0.10, faults.slow),
        Phase("broken connections", 0.14, faults.broken),
        Phase("silent networks", 0.10, faults.silent),
        Phase("reconnect storms", 0.08, clients.storm),
        Phase("deaf clients", 0.08, clients.deaf),
        Phase("frozen server", 0.08, faults.frozen_server),
        Phase("frozen workers", 0.08, faults.frozen_worker),
    ]
