"""Whether the model tells what four hosts and a Redis Cluster of three take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from running import Running
from systems import OWN, inline

from routechan.layers.redis.schema import STATISTICS, Keys, hash_tag_of

from .cluster import Cluster
from .model import Costs, Group, Process, Use, predict
from .network import Network
from .site import Site

SITE = inline("plain", OWN, "cluster")
HOSTS, NODES = 4, 3
#: With the layer's default prefix.
KEYS = Keys("routechan")
#: The share by which a prediction may be off.
ALLOWED = 0.25


@dataclass(frozen=True)
class Sizes:
    """How large the check is.

    Attributes:
        rooms: How many rooms there are of each kind: on one host, on two, on four.
        members: Of a room on each of its hosts.
        rate: Messages a second.
        seconds: Of a window.
        windows: How many windows the median is of.
    """

    rooms: tuple[int, int, int] = (8, 20, 32)
    members: int = 10
    rate: float = 200.0
    seconds: float = 5.0
    windows: int = 3


@dataclass(frozen=True)
class Compared:
    """One prediction. ``process`` and ``what`` name it; both values have the unit of ``what``."""

    process: str
    what: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Predicted to measured."""
        return self.predicted / self.measured if self.measured else float("inf")

    @property
    def holds(self) -> bool:
        """Whether the prediction is off by no more than it may be."""
        return abs(self.ratio - 1) <= ALLOWED


@dataclass(frozen=True)
class Placed:
    """A room: its name, and the hosts that its members and its messages come from, in turn."""

    name: str
    hosts: tuple[int, ...]
    members: int

    @property
    def each(self) -> tuple[int, ...]:
        """The members on each host."""
        return tuple(self.members if host in self.hosts else 0 for host in range(HOSTS))


def layout(sizes: Sizes) -> list[Placed]:
    """All rooms. The first ``HOSTS`` of them are on one host each."""
    widths = [width for width, count in zip((1, 2, HOSTS), sizes.rooms, strict=True) for _ in range(count)]
    return [
        Placed(f"c{number}", tuple((number + place) % HOSTS for place in range(width)), sizes.members)
        for number, width in enumerate(widths)
    ]


async def check(costs: Costs, sizes: Sizes, tell: Callable[[str], object]) -> list[Compared]:
    """Start the site, measure what it takes, and compare that with what the model says.

    Raises:
        NoNetwork: If there can be no hosts here.
    """
    placed = layout(sizes)
    with (
        Network(HOSTS) as network,
        Cluster(NODES, address=network.outside) as cluster,
        Running(SITE, SITE.targets["chat"], redis=cluster.nodes[0], hosts=network.hosts) as running,
    ):
        site = Site(running, cluster.nodes)
        try:
            tell(f"{sum(sum(room.each) for room in placed):,} sockets on {HOSTS} hosts, {NODES} Redis nodes")
            rooms = [await site.open(room.name, room.each, room.hosts) for room in placed]
            await site.settle()
            await site.window(rooms, sizes.rate, sizes.seconds / 2)  # what is loaded once
            windows = [await site.window(rooms, sizes.rate, sizes.seconds) for _ in range(sizes.windows)]
            processes = processes_of(cluster, placed)
        finally:
            await site.close()
    sends = median(window.sends for window in windows)
    groups, statistics = groups_of(cluster, placed, sends), cluster.node_of(STATISTICS)
    prediction = predict(costs, processes, groups, nodes=NODES, statistics=statistics)
    found = []
    for host, use in enumerate(prediction.servers):
        measured = [window.servers[host] for window in windows]
        found += compared(f"server {host + 1}", use, measured, ("CPU", "memory"))
    for node, use in enumerate(prediction.nodes):
        found += compared(f"Redis {node + 1}", use, [window.nodes[node] for window in windows], ("CPU", "commands"))
    return found


#: How a ``Use`` is read, by what is compared.
READ: dict[str, Callable[[Use], float]] = {
    "CPU": lambda use: use.cpu,
    "memory": lambda use: use.memory,
    "commands": lambda use: use.calls,
}


def compared(name: str, predicted: Use, measured: Sequence[Use], what: Sequence[str]) -> list[Compared]:
    """The median of what was measured of one process, beside its prediction."""
    return [Compared(name, each, READ[each](predicted), median(map(READ[each], measured))) for each in what]


def processes_of(cluster: Cluster, placed: Sequence[Placed]) -> list[Process]:
    """The sockets of each host, and the Redis node where chance has put its mailbox.

    The name of a process is random. A group with members on one host alone has the mailbox of that host as its only
    entry.
    """
    found = []
    for host in range(HOSTS):
        alone = next(room for room in placed if room.hosts == (host,))
        group = f"room-{alone.name}"
        (mailbox,) = cluster.nodes[cluster.node_of(group)].ask("ZRANGE", KEYS.group(group), 0, -1)
        sockets = sum(room.each[host] for room in placed)
        found.append(Process(sockets, cluster.node_of(hash_tag_of(mailbox.decode()))))
    return found


def groups_of(cluster: Cluster, placed: Sequence[Placed], sends: float) -> list[Group]:
    """All groups, with the same rate of messages each, in equal parts from each of its hosts."""
    return [
        Group(
            room.each,
            tuple(sends / len(placed) / len(room.hosts) if host in room.hosts else 0.0 for host in range(HOSTS)),
            cluster.node_of(f"room-{room.name}"),
        )
        for room in placed
    ]
