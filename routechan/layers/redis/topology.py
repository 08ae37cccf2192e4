"""Which server a home is on: one server, shards, or a Redis Cluster."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisClusterException

from .connection import FAULTS, Connection, is_ask
from .hosts import CLUSTER, Host
from .keys import home_of, shard_of

logger = logging.getLogger("routechan")


class Node:
    """A server that commands are sent to. Lifetime: layer."""

    def __init__(self, name: str, pool: redis.ConnectionPool) -> None:
        self.name = name
        self._pool = pool

    def __str__(self) -> str:
        return self.name

    def connect(self) -> Connection:
        """A new connection, open. Raises one of ``FAULTS``."""
        connection = Connection(self._pool)
        connection.open()
        return connection


class Topology(ABC):
    """Lifetime: layer. Thread-safe."""

    #: Seconds after which a server that does not answer is given up.
    socket_timeout: float

    @abstractmethod
    def node_of(self, home: Any) -> Node:
        """The server of a home; a node is its own. Raises one of ``FAULTS`` where nobody can tell."""

    @abstractmethod
    def nodes(self) -> list[Node]:
        """All servers that hold messages."""

    @abstractmethod
    def place_of(self, home: str) -> str:
        """A name for all homes whose queues one blocking command can wait for."""

    def not_here(self, error: Any) -> Node | None:
        """A server answered that it is not the one to ask; who is to be asked once, if it said so."""
        return None

    def together(self, queues: Iterable[str]) -> list[Sequence[str]]:
        """``queues`` in lists that one blocking command can wait for."""
        places: dict[str, list[str]] = {}
        for queue in queues:
            places.setdefault(self.place_of(home_of(queue)), []).append(queue)
        return list(places.values())


def make_topology(hosts: Sequence[Host]) -> Topology:
    return Cluster(hosts[0]) if hosts[0].kind == CLUSTER else Shards(hosts)


class Shards(Topology):
    """One server, or several that share the homes by a hash; each may be one that Sentinels watch."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.socket_timeout = min(host.socket_timeout for host in hosts)
        self._nodes = [Node(str(host), host.client().connection_pool) for host in hosts]

    def node_of(self, home: Any) -> Node:
        if isinstance(home, Node):
            return home
        if len(self._nodes) == 1:
            return self._nodes[0]
        return self._nodes[shard_of(home, len(self._nodes))]

    def nodes(self) -> list[Node]:
        return self._nodes

    def place_of(self, home: str) -> str:
        return "0" if len(self._nodes) == 1 else str(shard_of(home, len(self._nodes)))


class Cluster(Topology):
    """A Redis Cluster: redis-py knows its slots, which are asked for when the first command is sent."""

    def __init__(self, host: Host) -> None:
        self.socket_timeout = host.socket_timeout
        self._host = host
        self._lock = threading.Lock()
        self._client: RedisCluster | None = None
        self._nodes: dict[str, Node] = {}

    def node_of(self, home: Any) -> Node:
        if isinstance(home, Node):
            return home
        with self._lock:
            found = self._known().nodes_manager.get_node_from_slot(key_slot(home.encode()))
            return self._node(found)

    def nodes(self) -> list[Node]:
        with self._lock:
            return [self._node(found) for found in self._known().get_primaries()]  # type: ignore[no-untyped-call]

    def place_of(self, home: str) -> str:
        return home  # keys of one command must be in one slot

    def not_here(self, error: Any) -> Node | None:
        with self._lock:
            client = self._known()
            if is_ask(error):
                found = client.get_node(host=error.host, port=error.port)  # type: ignore[no-untyped-call]
                if found is not None:
                    return self._node(found)
            logger.info("The Redis Cluster %s has changed: %s", self._host, error)
            self._ask_again(client)
            return None

    def _known(self) -> RedisCluster:
        if self._client is None:
            try:
                self._client = self._host.cluster_client()
            except RedisClusterException as error:
                raise redis.ConnectionError(f"the Redis Cluster {self._host} does not answer: {error}") from error
        return self._client

    def _ask_again(self, client: RedisCluster) -> None:
        try:
            client.nodes_manager.initialize()
        except (RedisClusterException, *FAULTS) as error:
            raise redis.ConnectionError(f"the Redis Cluster {self._host} does not answer: {error}") from error

    def _node(self, found: Any) -> Node:
        node = self._nodes.get(found.name)
        if node is None:
            client = self._known()
            node = self._nodes[found.name] = Node(found.name, client.get_redis_connection(found).connection_pool)
        return node
