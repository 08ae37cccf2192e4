"""What one window of work came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: The share of a CPU that other processes may take, and the client before it is the limit.
OTHERS_ALLOWED, CLIENT_ALLOWED = 0.08, 0.9


@dataclass(frozen=True)
class Sample:
    """One measured window.

    Attributes:
        rate: What was counted, per second; or bytes, where memory was measured.
        cpu: Shares of one CPU by who took it: ``server``, ``worker``, ``redis``, ``client``.
        others: The share of one CPU that nobody of these took, on the CPUs they ran on.
        values: More that was measured: ``p50`` in milliseconds, ``connections``, ``lost``, ...
        spins: Whether the client keeps its CPU busy by waiting.
    """

    rate: float
    cpu: Mapping[str, float] = field(default_factory=dict)
    others: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
    spins: bool = False

    @property
    def disturbed(self) -> bool:
        """Whether other processes took CPU that was meant for it."""
        return self.others > OTHERS_ALLOWED

    @property
    def limited(self) -> bool:
        """Whether the client, not the server, may have been the limit."""
        return not self.spins and self.cpu.get("client", 0.0) > CLIENT_ALLOWED

    @property
    def cpu_each(self) -> float:
        """Microseconds of CPU time of all but the client, for each that was counted."""
        return sum(share for name, share in self.cpu.items() if name != "client") / self.rate * 1e6 if self.rate else 0

    def value(self, name: str) -> float:
        """``rate``, ``cpu_each``, or one of ``values``."""
        found = getattr(self, name) if name in ("rate", "cpu_each") else self.values[name]
        return float(found)


def percentiles(times: list[float]) -> dict[str, float]:
    """Of seconds, in milliseconds: ``p50``, ``p99`` and ``p99.9``."""
    ordered = sorted(times)
    places = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    last = len(ordered) - 1
    return {name: ordered[min(last, int(len(ordered) * share))] * 1000 for name, share in places.items() if ordered}
