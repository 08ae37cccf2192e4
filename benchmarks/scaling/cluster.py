"""A Redis Cluster of the benchmark's own."""

from __future__ import annotations

import time
from contextlib import ExitStack

from redis.crc import key_slot
from redis_server import RedisServer, RedisServerError
from running import free_ports

SLOTS = 16384


class Cluster:
    """Redis nodes with as many slots each, until the ``with`` block ends.

    Args:
        count: How many nodes.
        address: Where they listen.
        patience: The seconds within which they have to be one Cluster.

    Raises:
        RedisServerError: If they are not.
    """

    def __init__(self, count: int, *, address: str = "127.0.0.1", patience: float = 20) -> None:
        self._count = count
        self._address = address
        self._patience = patience
        self.nodes: list[RedisServer] = []

    def __enter__(self) -> Cluster:
        with ExitStack() as stack:
            buses = free_ports(self._count)
            for bus in buses:
                options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "1000")
                # Redis lets only loopback in without a password; a bridge of our own ends at this machine too.
                options += ("--cluster-announce-ip", self._address, "--protected-mode", "no")
                self.nodes.append(stack.enter_context(RedisServer(address=self._address, options=options)))
            self._join(buses)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def node_of(self, hash_tag: str) -> int:
        """The number of the node that holds the keys with this hash tag."""
        slot = key_slot(hash_tag.encode())
        return next(number for number in range(self._count) if slot < self._bounds(number + 1))

    def _bounds(self, number: int) -> int:
        return SLOTS * number // self._count

    def _join(self, buses: list[int]) -> None:
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "ADDSLOTSRANGE", self._bounds(number), self._bounds(number + 1) - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node, bus in list(zip(self.nodes, buses, strict=True))[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", self._address, node.port, bus)
        deadline = time.monotonic() + self._patience
        while not all(self._is_complete(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise RedisServerError(f"{self._count} nodes did not become a Cluster in {self._patience:g} s")
            time.sleep(0.05)
        for node in self.nodes:
            node.ask("CONFIG", "SET", "cluster-node-timeout", 15_000)  # Redis' default

    def _is_complete(self, node: RedisServer) -> bool:
        known = {int(entry[2][1]) for entry in node.ask("CLUSTER", "SLOTS")}
        return known == {each.port for each in self.nodes} and b"cluster_state:ok" in bytes(node.ask("CLUSTER", "INFO"))
