"""Which server a hash tag is on: one server, shards, or a Redis Cluster."""

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
from .schema import hash_tag_of, shard_of

logger = logging.getLogger("routechan")


class Node:
    """A server that commands are sent to. Lifetime: layer.

    Args:
        name: its address, for the log.
        pool: a pool of redis-py that makes its connections.
    """

    def __init__(self, name: str, pool: redis.ConnectionPool) -> None:
        self.name = name
        self._pool = pool

    def __str__(self) -> str:
        return self.name

    def connect(self) -> Connection:
        """A new, open connection; raises one of ``FAULTS``."""
        connection = Connection(self._pool)
        connection.open()
        return connection


class Topology(ABC):
    """The servers of a layer. Lifetime: layer. Thread-safe."""

    #: Seconds to wait for an answer of a server.
    socket_timeout: float

    #: The server, where there is just one.
    only_node: Node | None = None

    #: Whether keys may move from one server to another, one after the other.
    moves_keys = False

    #: Whether ``learn`` need not be called.
    is_known = True

    def learn(self) -> None:  # noqa: B027
        """Ask which servers there are, before anything else; raises one of ``FAULTS``."""

    @abstractmethod
    def node_of(self, hash_tag: Any) -> Node:
        """The server of ``hash_tag``; a ``Node`` is returned as it is.

        Raises:
            ConnectionError: or another of ``FAULTS``: no server says which one it is.
        """

    @abstractmethod
    def nodes(self) -> list[Node]:
        """All servers that hold messages."""

    def __str__(self) -> str:
        return ", ".join(map(str, self.nodes()))

    @abstractmethod
    def place_of(self, hash_tag: str) -> str:
        """A name shared by ``hash_tag`` and all others whose queues the same blocking command can wait for."""

    def not_here(self, error: Any) -> Node | None:
        """Learn from ``error``, a server's reply, that it is not the one to ask.

        Returns:
            The server to ask this once, if the reply names one.
        """
        return None

    def together(self, queues: Iterable[str]) -> list[Sequence[str]]:
        """``queues`` in lists that one blocking command can wait for."""
        places: dict[str, list[str]] = {}
        for queue in queues:
            places.setdefault(self.place_of(hash_tag_of(queue)), []).append(queue)
        return list(places.values())


def make_topology(hosts: Sequence[Host]) -> Topology:
    """The topology of ``hosts``, made without a connection."""
    return Cluster(hosts[0]) if hosts[0].kind == CLUSTER else Shards(hosts)


class Shards(Topology):
    """One server, or several that share the hash tags; ``hosts`` may be ones that Sentinels watch. Lifetime: layer."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.socket_timeout = min(host.socket_timeout for host in hosts)
        self._nodes = [Node(str(host), host.client().connection_pool) for host in hosts]
        self.only_node = self._nodes[0] if len(hosts) == 1 else None

    def node_of(self, hash_tag: Any) -> Node:
        if isinstance(hash_tag, Node):
            return hash_tag
        return self.only_node or self._nodes[shard_of(hash_tag, len(self._nodes))]

    def nodes(self) -> list[Node]:
        return self._nodes

    def place_of(self, hash_tag: str) -> str:
        return "0" if self.only_node else str(shard_of(hash_tag, len(self._nodes)))


class Cluster(Topology):
    """The Redis Cluster ``host``, whose slots redis-py asks for in ``learn``. Lifetime: layer."""

    def __init__(self, host: Host) -> None:
        self.socket_timeout = host.socket_timeout
        self._host = host
        self._lock = threading.Lock()
        self._client: RedisCluster | None = None
        self._nodes: dict[str, Node] = {}

    moves_keys = True

    @property
    def is_known(self) -> bool:  # type: ignore[override]
        return self._client is not None

    def learn(self) -> None:
        with self._lock:
            self._known()

    def node_of(self, hash_tag: Any) -> Node:
        if isinstance(hash_tag, Node):
            return hash_tag
        with self._lock:
            try:
                found = self._known().nodes_manager.get_node_from_slot(key_slot(hash_tag.encode()))
            except RedisClusterException as error:  # no node serves this slot
                raise redis.ConnectionError(f"the Redis Cluster {self._host} has a gap: {error}") from error
            return self._node(found)

    def nodes(self) -> list[Node]:
        with self._lock:
            return [self._node(found) for found in self._known().get_primaries()]  # type: ignore[no-untyped-call]

    def __str__(self) -> str:
        return str(self._host)

    def place_of(self, hash_tag: str) -> str:
        return hash_tag  # keys of one command must be in one slot

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
