"""What was measured, as ``docs/scaling.rst`` includes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median

from asgi_servers import HERE
from tables import heading, number, rst_table

from .check import ALLOWED, HOSTS, NODES, Compared
from .crowd import TOLD
from .model import MOST_SOCKETS, PLANNED, Costs, Site, message_time, plan, reached

FOLDER = HERE.parent / "docs" / "scaling"

#: The site that is reckoned step by step, and those of the table.
EXAMPLE = Site(50_000, 500, 100)
SITES = (Site(5_000, 50, 20), EXAMPLE, Site(50_000, 500, 1_000), Site(200_000, 2_000, 100))

MICROSECONDS, PER_SECOND = "µs", "µs each second"
#: Each cost: what it is for, and its unit.
STEPS = {
    "process_bytes": ("a server process without sockets, with Redis", "MiB"),
    "socket_bytes": ("a socket in one group", "bytes"),
    "process_idle": ("a server process when nothing happens", PER_SECOND),
    "process_clustered": ("and more on a Cluster, where it asks more often", PER_SECOND),
    "ping": ("a ping and its answer", MICROSECONDS),
    "event": ("a frame of a client, with its plain consumer", MICROSECONDS),
    "send": ("a group send", MICROSECONDS),
    "trip": ("and for each Redis node with mailboxes of other processes with members", MICROSECONDS),
    "push": ("and for each other process with members", MICROSECONDS),
    "arrival": ("a group message that comes from another process", MICROSECONDS),
    "delivery": ("and for each member there", MICROSECONDS),
    "redis_idle": ("one Redis: for each process when nothing happens", PER_SECOND),
    "redis_calls_idle": ("one Redis: for each process when nothing happens", "commands/s"),
    "node_idle": ("a Cluster's node without processes", PER_SECOND),
    "node_process": ("a Cluster's node, for each process when nothing happens", PER_SECOND),
    "node_calls_idle": ("a Cluster's node, for each process when nothing happens", "commands/s"),
    "note": ("Redis: statistics, for each pair of processes that talk", PER_SECOND),
    "calls_note": ("Redis: statistics, for each pair of processes that talk", "commands/s"),
    "redis_send": ("Redis: a group send", MICROSECONDS),
    "redis_trip": ("Redis: and for each node with mailboxes of other processes with members", MICROSECONDS),
    "redis_push": ("Redis: and for each other process with members", MICROSECONDS),
    "calls_send": ("Redis: a group send", "commands"),
    "calls_push": ("Redis: and for each other process with members", "commands"),
    "relayed_server": ("an event through a worker, and the reply: the server", MICROSECONDS),
    "relayed_worker": ("the same: the worker", MICROSECONDS),
    "relayed_redis": ("the same: Redis", MICROSECONDS),
    "relayed_calls": ("the same: Redis", "commands"),
}


@dataclass
class Measured:
    """All of a run.

    Attributes:
        facts: The machine, versions, the command.
        rounds: The costs of each round.
        checked: Predictions and what was measured.
        unchecked: Why there are none.
        crowd: What ten thousand sockets took.
    """

    facts: dict[str, str] = field(default_factory=dict)
    rounds: list[Costs] = field(default_factory=list)
    checked: list[Compared] = field(default_factory=list)
    unchecked: str = ""
    crowd: dict[str, float] = field(default_factory=dict)

    @property
    def costs(self) -> Costs:
        """Medians. What is smaller than its own error may come out below nothing: it counts as nothing."""
        middle = {name.name: median(getattr(each, name.name) for each in self.rounds) for name in fields(Costs)}
        return Costs(**{name: max(value, 0.0) for name, value in middle.items()})

    def save(self, folder: Path) -> None:
        """Write the samples, and the tables made of them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "measured.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        (folder / "measured.txt").write_text(text_of(self))

    @classmethod
    def load(cls, folder: Path) -> Measured:
        """What ``save`` wrote."""
        found = json.loads((folder / "measured.json").read_text())
        rounds = [Costs(**each) for each in found.pop("rounds")]
        return cls(rounds=rounds, checked=[Compared(**each) for each in found.pop("checked")], **found)


def text_of(measured: Measured) -> str:
    """The tables, as RST."""
    parts = [
        "\n".join(f":{name}: {value}" for name, value in measured.facts.items()),
        heading("What each step costs", "~"),
        costs_table(measured),
        heading("What sites need", "~"),
        f"With {PLANNED:.0%} of a CPU at most in each process and each Redis node, and at most {MOST_SOCKETS:,} "
        "sockets in a process:",
        sites_table(measured.costs),
        heading("The second of them, step by step", "~"),
        example(measured.costs, EXAMPLE),
        heading(f"{HOSTS} hosts and a Cluster of {NODES}", "~"),
        checked_text(measured),
    ]
    if measured.crowd:
        parts += [heading("One process, one message", "~"), crowd_table(measured.crowd)]
    return "\n\n".join(parts) + "\n"


def costs_table(measured: Measured) -> str:
    """The median of each cost, and its least and greatest value in a round."""
    rows = [["step", "cost", "rounds", "unit"]]
    for name, (step, unit) in STEPS.items():
        scale = 2**20 if unit == "MiB" else 1
        values = [getattr(each, name) / scale for each in measured.rounds]
        value = getattr(measured.costs, name) / scale
        rows.append([step, number(value), f"{number(min(values))} to {number(max(values))}", unit])
    return rst_table(rows)


def sites_table(costs: Costs) -> str:
    """What some sites need."""
    rows = [["sockets", "sends/s", "members", "processes", "CPU of each", "memory of all", "Redis commands/s"]]
    rows[0] += ["Redis CPU", "Redis nodes"]
    for site in SITES:
        found = plan(costs, site)
        memory = f"{found.processes * found.process.memory / 2**30:.1f} GiB"
        rows.append(
            [
                *(f"{site.sockets:,}", f"{site.sends:,}", f"{site.members:,}", str(found.processes)),
                *(f"{found.process.cpu:.0%}", memory, f"{found.redis.calls:,.0f}", f"{found.redis.cpu:.0%}"),
                str(found.nodes),
            ]
        )
    return rst_table(rows)


def example(costs: Costs, site: Site) -> str:
    """How a line of that table comes about."""
    found = plan(costs, site)
    count = found.processes
    others = reached(site, count) - 1
    message = message_time(costs, site, count)
    steps = {
        "sockets of a process": f"{site.sockets:,} / {count} = {site.sockets / count:,.0f}",
        "memory of a process": (
            f"{costs.process_bytes / 2**20:.0f} MiB + {site.sockets / count:,.0f} x {costs.socket_bytes:,.0f} bytes "
            f"= {found.process.memory / 2**20:,.0f} MiB"
        ),
        "processes with members": f"{count} x (1 - (1 - 1 / {count})^{site.members}) = {reached(site, count):.2f}",
        "one message": (
            f"{costs.event:.0f} + {costs.send:.0f} + {costs.trip:.0f} + {others:.2f} x ({costs.push:.0f} + "
            f"{costs.arrival:.0f}) + {site.members} x {costs.delivery:.1f} = {message:,.0f} µs in all processes"
        ),
        "CPU of a process": (
            f"{site.sends} x {message:,.0f} µs / {count}, and its pings and idle work, = {found.process.cpu:.0%} of one"
        ),
        "Redis": (
            f"{site.sends} x ({costs.calls_send:.1f} + {others:.2f} x {costs.calls_push:.1f}), and what processes ask "
            f"anyway, = {found.redis.calls:,.0f} commands/s, {found.redis.cpu:.0%} of a CPU"
        ),
    }
    width = max(map(len, steps))
    return ".. code-block:: text\n\n" + "\n".join(f"    {name:{width}}  {step}" for name, step in steps.items())


def checked_text(measured: Measured) -> str:
    """Predictions beside what was measured; or why there are none."""
    if measured.unchecked:
        return f"Not checked: {measured.unchecked}."
    worst = max(measured.checked, key=lambda each: abs(each.ratio - 1))
    held = sum(each.holds for each in measured.checked)
    said = (
        f"{held} of {len(measured.checked)} predictions are within {ALLOWED:.0%} of what was measured; the worst, "
        f"{worst.what} of {worst.process}, is {worst.ratio:.2f} times as much."
    )
    return f"{said}\n\n{checked_table(measured.checked)}"


def checked_table(checked: list[Compared]) -> str:
    """Predictions beside what was measured."""
    rows = [["process", "of", "predicted", "measured", "ratio", f"within {ALLOWED:.0%}"]]
    for each in checked:
        show = SHOWN[each.what]
        told = [show(each.predicted), show(each.measured), f"{each.ratio:.2f}", "yes" if each.holds else "NO"]
        rows.append([each.process, each.what, *told])
    return rst_table(rows)


SHOWN = {
    "CPU": lambda value: f"{value:.2%}",
    "memory": lambda value: f"{value / 2**20:.1f} MiB",
    "commands": lambda value: f"{value:,.0f}/s",
}


def crowd_table(crowd: dict[str, float]) -> str:
    """What ten thousand sockets took."""
    return rst_table([["what", "measured"], *([what, number(crowd[name])] for name, what in TOLD.items())])
