"""All samples of a run, as they are written and read again."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sample import Sample

Key = tuple[str, str, int]


@dataclass
class Results:
    """What was measured.

    Attributes:
        facts: The machine, versions, the command.
        systems: By name, the command of each system that ran.
        missing: By name, why a system was not measured at all.
        samples: By work, system and point.
        failed: The same, of what went wrong.
        discarded: Samples that were taken again, because other processes used the CPUs.
    """

    facts: dict[str, str] = field(default_factory=dict)
    systems: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    samples: dict[Key, list[Sample]] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    discarded: int = 0

    def of(self, work: str, system: str, point: int) -> list[Sample]:
        """Nothing where it failed in any round."""
        key = (work, system, point)
        return [] if key in self.failed else self.samples.get(key, [])

    def why_not(self, work: str, system: str, point: int) -> str:
        """Why there is no sample."""
        return self.failed.get((work, system, point)) or self.missing.get(system) or "not measured"

    def median(self, work: str, system: str, point: int, value: str = "rate") -> float:
        return statistics.median(each.value(value) for each in self.of(work, system, point))

    def rows(self, work: str) -> Iterator[tuple[str, int]]:
        """Systems and points with samples, in the order in which they ran."""
        for name, system, point in self.samples:
            if name == work and self.of(work, system, point):
                yield system, point

    def save(self, path: Path) -> None:
        content = {
            "facts": self.facts,
            "systems": self.systems,
            "missing": self.missing,
            "discarded": self.discarded,
            "failed": [[*key, why] for key, why in self.failed.items()],
            "samples": [[*key, [asdict(each) for each in samples]] for key, samples in self.samples.items()],
        }
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """What ``save`` wrote."""
        content = json.loads(path.read_text())
        return cls(
            facts=content["facts"],
            systems=content["systems"],
            missing=content["missing"],
            discarded=content["discarded"],
            failed={(work, system, point): why for work, system, point, why in content["failed"]},
            samples={
                (work, system, point): [Sample(**each) for each in samples]
                for work, system, point, samples in content["samples"]
            },
        )
