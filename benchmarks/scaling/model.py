"""What a site takes, predicted from what single steps cost. Nothing here measures anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

#: The share of a CPU that a plan lets a server process or a Redis node use, so that peaks have room.
PLANNED = 0.5
#: Sockets that a plan gives one server process.
MOST_SOCKETS = 10_000
#: Seconds between two pings of a socket, uvicorn's default.
PING_INTERVAL = 20.0


@dataclass(frozen=True)
class Costs:
    """What each step costs. Times are microseconds of CPU.

    Attributes:
        process_bytes: Memory of a server process without sockets.
        socket_bytes: Memory of one more socket, a member of one group.
        process_idle: Time that a server process takes each second when nothing happens.
        process_clustered: The same, beyond that, where Redis is a Cluster: it asks more often.
        ping: A ping to one socket, and its answer.
        event: A frame of a client, up to the end of a plain consumer.
        send: A message to a group: what it takes whoever the members are.
        trip: The same, for each Redis node that holds mailboxes of other processes with members.
        push: The same, for each other process that has members.
        arrival: A group message of another process, up to its members.
        delivery: One message to one socket.
        redis_idle: Time that a single Redis takes each second for each process when nothing happens.
        redis_calls_idle: The commands of that.
        node_idle: Time that a node of a Cluster takes each second without any process.
        node_process: Time that each node of a Cluster takes each second for each process when nothing happens.
        node_calls_idle: The commands of that.
        note: Redis' time each second for each pair of a process that sends and one it sends to: the statistics.
        calls_note: Redis commands of that.
        redis_send: Redis' time for a group message: finding the processes with members.
        redis_trip: The same, for each node that holds mailboxes of other processes with members.
        redis_push: The same, for each other process that has members.
        calls_send: Redis commands for a group message.
        calls_push: The same, for each other process that has members.
        relayed_server: Time of the server for an event whose consumer runs in a worker, and for its reply.
        relayed_worker: Time of the worker for it.
        relayed_redis: Redis' time for it.
        relayed_calls: Redis commands for it.
    """

    process_bytes: float
    socket_bytes: float
    process_idle: float
    process_clustered: float
    ping: float
    event: float
    send: float
    trip: float
    push: float
    arrival: float
    delivery: float
    redis_idle: float
    redis_calls_idle: float
    node_idle: float
    node_process: float
    node_calls_idle: float
    note: float
    calls_note: float
    redis_send: float
    redis_trip: float
    redis_push: float
    calls_send: float
    calls_push: float
    relayed_server: float
    relayed_worker: float
    relayed_redis: float
    relayed_calls: float


@dataclass(frozen=True)
class Process:
    """A server process: its open sockets, and the number of the Redis node that holds its mailbox."""

    sockets: int
    node: int = 0


@dataclass(frozen=True)
class Group:
    """A group.

    Attributes:
        members: How many each process has.
        sends: How many messages a second come from sockets of each process.
        node: The number of the Redis node that holds the group.
    """

    members: tuple[int, ...]
    sends: tuple[float, ...]
    node: int = 0


@dataclass
class Use:
    """What one process takes.

    Attributes:
        cpu: A share of a CPU.
        memory: Bytes, of a server.
        calls: Commands a second, of Redis.
        notes: Those among them that keep the statistics.
    """

    cpu: float = 0.0
    memory: float = 0.0
    calls: float = 0.0
    notes: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """Of each server process and each Redis node, in the order in which they were given."""

    servers: list[Use]
    nodes: list[Use]


def predict(
    costs: Costs, processes: Sequence[Process], groups: Sequence[Group], *, nodes: int = 1, statistics: int = 0
) -> Prediction:
    """What each process of a known site takes.

    Args:
        costs: What each step costs.
        processes: All server processes.
        groups: All groups, with the messages to them.
        nodes: How many Redis nodes there are; more than one are a Cluster.
        statistics: The number of the node that holds the statistics.

    Returns:
        Of each process and each node.
    """
    quiet = costs.process_idle + (costs.process_clustered if nodes > 1 else 0.0)
    servers = [
        Use(
            cpu=quiet + each.sockets * costs.ping / PING_INTERVAL,
            memory=costs.process_bytes + each.sockets * costs.socket_bytes,
        )
        for each in processes
    ]
    redis = [_idle(costs, len(processes), nodes) for _ in range(nodes)]
    pairs: Counter[tuple[int, int]] = Counter()
    for group in groups:
        for sender, rate in enumerate(group.sends):
            if rate:
                _send(costs, processes, group, sender, rate, servers, redis)
                pairs.update({(sender, other): rate for other, count in enumerate(group.members) if count})
    _note(costs, sum(_once(rate) for (sender, other), rate in pairs.items() if sender != other), redis[statistics])
    for use in (*servers, *redis):
        use.cpu /= 1e6
    return Prediction(servers, redis)


def _idle(costs: Costs, processes: int, nodes: int) -> Use:
    """What one of the nodes does each second when nothing happens."""
    if nodes == 1:
        return Use(processes * costs.redis_idle, calls=processes * costs.redis_calls_idle)
    return Use(costs.node_idle + processes * costs.node_process, calls=processes * costs.node_calls_idle)


def _note(costs: Costs, pairs: float, node: Use) -> None:
    """Add the statistics, written once a second for each pair of processes that had anything to do."""
    node.cpu += pairs * costs.note
    node.calls += pairs * costs.calls_note


def _once(rate: float) -> float:
    """The chance that something that happens at that rate happens within a second."""
    return 1 - math.exp(-rate)


def _send(
    costs: Costs,
    processes: Sequence[Process],
    group: Group,
    sender: int,
    rate: float,
    servers: list[Use],
    redis: list[Use],
) -> None:
    """Add the messages to a group from the sockets of one process."""
    others = [number for number, members in enumerate(group.members) if members and number != sender]
    mailboxes = Counter(processes[number].node for number in others)
    step = costs.event + costs.send + len(mailboxes) * costs.trip + len(others) * costs.push
    servers[sender].cpu += rate * (step + group.members[sender] * costs.delivery)
    for number in others:
        servers[number].cpu += rate * (costs.arrival + group.members[number] * costs.delivery)
    redis[group.node].cpu += rate * costs.redis_send
    redis[group.node].calls += rate * costs.calls_send
    for node, count in mailboxes.items():
        redis[node].cpu += rate * (costs.redis_trip + count * costs.redis_push)
        redis[node].calls += rate * count * costs.calls_push


@dataclass(frozen=True)
class Site:
    """A site as it is planned: every socket is in one group, and members are spread by chance.

    Attributes:
        sockets: Open at the same time.
        sends: Messages to groups a second, all together.
        members: Of each group.
    """

    sockets: int
    sends: float
    members: int


@dataclass(frozen=True)
class Plan:
    """What a site needs.

    Attributes:
        processes: Server processes.
        nodes: Redis nodes; more than one are a Cluster or shards.
        process: What each server process takes.
        redis: What all Redis nodes take together.
        busiest: The share of a CPU of the Redis node that has most mailboxes.
    """

    processes: int
    nodes: int
    process: Use
    redis: Use
    busiest: float


def reached(site: Site, processes: int) -> float:
    """How many of so many processes have members of a group, on average."""
    return processes * (1 - (1 - 1 / processes) ** site.members)


def message_time(costs: Costs, site: Site, processes: int) -> float:
    """Microseconds that one message takes in all server processes together."""
    others = max(reached(site, processes) - 1, 0.0)  # who sends is a member
    to_others = min(others, 1.0) * costs.trip + others * (costs.push + costs.arrival)
    return costs.event + costs.send + to_others + site.members * costs.delivery


def average(costs: Costs, site: Site, processes: int) -> tuple[Use, Use]:
    """What one of so many server processes takes, and what a single Redis does."""
    others = max(reached(site, processes) - 1, 0.0)
    sockets, sends = site.sockets / processes, site.sends / processes
    messages = sends * message_time(costs, site, processes)
    server = Use(
        cpu=(costs.process_idle + sockets * costs.ping / PING_INTERVAL + messages) / 1e6,
        memory=costs.process_bytes + sockets * costs.socket_bytes,
    )
    redis = _idle(costs, processes, 1)
    redis.cpu += site.sends * (costs.redis_send + min(others, 1.0) * costs.redis_trip + others * costs.redis_push)
    redis.calls += site.sends * (costs.calls_send + others * costs.calls_push)
    if processes > 1:
        every = processes * (processes - 1)
        _note(costs, every * _once(site.sends * others / every), redis)
    redis.cpu /= 1e6
    return server, redis


def plan(costs: Costs, site: Site) -> Plan:
    """The fewest server processes, and for these the fewest Redis nodes, that leave room for peaks.

    Raises:
        ValueError: If no number does.
    """
    for processes in range(1, 10_000):
        server, redis = average(costs, site, processes)
        if server.cpu <= PLANNED and site.sockets <= processes * MOST_SOCKETS:
            break
    else:
        raise ValueError(f"no number of processes is enough for {site}")
    for nodes in range(1, processes + 1):  # a node holds whole mailboxes: more nodes than processes help nobody
        busiest = redis.cpu * busiest_share(processes, nodes)
        if busiest <= PLANNED:
            return Plan(processes, nodes, server, redis, busiest)
    raise ValueError(f"no number of Redis nodes is enough for {site}")


def busiest_share(mailboxes: int, nodes: int) -> float:
    """The share of all mailboxes on the node that has most of them, on average, where chance places them."""
    expected = 0.0
    for most in range(mailboxes):  # the mean is the sum of the chances to have more than 0, 1, 2, ...
        more = 1 - _at_most(most, mailboxes, nodes)
        expected += more
        if more < 1e-6:
            break
    return expected / mailboxes


def _at_most(most: int, mailboxes: int, nodes: int) -> float:
    """The chance that no node has more than ``most`` mailboxes."""
    if most * nodes < mailboxes:
        return 0.0
    # As if each node drew its number for itself, given that the sum is right: so numbers stay small.
    one = [_poisson(count, mailboxes / nodes) for count in range(most + 1)]
    sums = [1.0]
    for _ in range(nodes):
        longer = [0.0] * min(len(sums) + most, mailboxes + 1)
        for place, chance in enumerate(sums):
            for count in range(min(most, mailboxes - place) + 1):
                longer[place + count] += chance * one[count]
        sums = longer
    return sums[mailboxes] / _poisson(mailboxes, mailboxes)


def _poisson(count: int, mean: float) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
