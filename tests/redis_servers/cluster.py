"""A Redis Cluster, and moving its slots."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.processes import PATIENCE

from .process import HOST, RedisProcess, server_port, text, until
from .servers import Servers

SLOTS = 16384


class ClusterServers(Servers):
    """A Redis Cluster of ``n`` masters. ``node_timeout``: seconds after which a node that is gone counts as failed."""

    def __init__(self, n: int = 3, *, node_timeout: float = 5.0, appendonly: bool = False) -> None:
        self.node_timeout = node_timeout
        self.nodes = [_ClusterNode(node_timeout, appendonly=appendonly) for _ in range(n)]
        self.processes = list(self.nodes)

    @property
    def hosts(self) -> list[Any]:
        return [{"address": f"redis://{HOST}:{self.nodes[0].port}", "cluster": True}]

    @property
    def masters(self) -> list[RedisProcess]:
        return [node for node in self.processes if node.alive]

    def owner(self, slot: int) -> RedisProcess:
        """The node that serves a slot; the slot of a key is ``key_slot(b"key")``."""
        for first, last, (_host, port, *_rest), *_replicas in self.masters[0].ask("CLUSTER SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody serves slot {slot}")

    def move_slot(self, slot: int, to: RedisProcess | None = None) -> RedisProcess:
        """Move a slot with its keys to another node, by default the next; that node."""
        with self.moving(slot, to) as move:
            pass
        return move.target

    @contextlib.contextmanager
    def moving(self, slot: int, to: RedisProcess | None = None) -> Iterator[Move]:
        """In the block the slot is being moved: the old node answers ASK for keys it does not have (any more).

        ``move.keys()`` takes the keys across. On leaving, so are all that are left, and the old node answers MOVED.
        """
        source = self.owner(slot)
        target = to or self.nodes[(self.nodes.index(source) + 1) % len(self.nodes)]  # type: ignore[arg-type]
        move = Move(slot, source, target)
        target.ask("CLUSTER SETSLOT", slot, "IMPORTING", _node_id(source))
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", _node_id(target))
        try:
            yield move
        finally:
            move.keys()
            for node in sorted(self.nodes, key=lambda node: node is not target):  # the target first
                node.ask("CLUSTER SETSLOT", slot, "NODE", _node_id(target))

    def _start(self) -> None:
        first = not any(node.directory for node in self.nodes)
        for node in self.nodes:
            node.start()
        if first:
            # Nodes that heard of each other get in touch after half the timeout at the latest.
            self._set_node_timeout(min(self.node_timeout, 0.5))
            bounds = [SLOTS * place // len(self.nodes) for place in range(len(self.nodes) + 1)]
            for place, node in enumerate(self.nodes):
                node.ask("CLUSTER ADDSLOTSRANGE", bounds[place], bounds[place + 1] - 1)
                node.ask("CLUSTER SET-CONFIG-EPOCH", place + 1)
            for node in self.nodes[1:]:
                self.nodes[0].ask("CLUSTER MEET", HOST, node.port, node.bus_port)
        until(lambda: all(self._complete(node) for node in self.nodes), "every node knows the cluster is complete")
        if first:
            self._set_node_timeout(self.node_timeout)

    def _set_node_timeout(self, seconds: float) -> None:
        for node in self.nodes:
            node.ask("CONFIG SET", "cluster-node-timeout", int(seconds * 1000))

    def _complete(self, node: RedisProcess) -> bool:
        state = dict(line.split(":", 1) for line in text(node.ask("CLUSTER INFO")).split())
        # A node that never met the others says "ok" of what it knows, so the slots are looked at too.
        known = {entry[2][1] for entry in node.ask("CLUSTER SLOTS")}
        return state["cluster_state"] == "ok" and known == {other.port for other in self.nodes}


class Move:
    """A slot on its way. Lifetime: the move."""

    def __init__(self, slot: int, source: RedisProcess, target: RedisProcess) -> None:
        self.slot = slot
        self.source = source
        self.target = target

    def keys(self) -> int:
        """Take across the keys that are still with the old node; how many there were."""
        moved = 0
        while names := self.source.ask("CLUSTER GETKEYSINSLOT", self.slot, 100):
            timeout = int(PATIENCE * 1000)
            self.source.ask("MIGRATE", HOST, self.target.port, "", 0, timeout, "REPLACE", "KEYS", *names)
            moved += len(names)
        return moved


class _ClusterNode(RedisProcess):
    def __init__(self, node_timeout: float, *, appendonly: bool) -> None:
        super().__init__(appendonly=appendonly)
        self.bus_port = 0
        self._node_timeout = int(node_timeout * 1000)

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self.bus_port = server_port()

    def _arguments(self) -> list[str]:
        return [
            *super()._arguments(),
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--cluster-announce-ip", HOST),
            *("--cluster-node-timeout", str(self._node_timeout)),
        ]


def _node_id(node: RedisProcess) -> str:
    return text(node.ask("CLUSTER MYID"))
