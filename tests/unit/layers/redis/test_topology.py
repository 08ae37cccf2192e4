"""Which server a hash tag is on, and which queues one blocking command can wait for."""

from __future__ import annotations

import threading

import pytest
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError
from redis.exceptions import ConnectionError as RedisConnectionError

from routechan.layers.redis.connection import FAULTS
from routechan.layers.redis.hosts import parse_hosts
from routechan.layers.redis.schema import HASH_TAGS, hash_tag_of, shard_of
from routechan.layers.redis.topology import Cluster, Node, Shards, make_topology
from tests.processes import free_port
from tests.redis_servers import ClusterServers, SingleServer, shared

TAGS = [*HASH_TAGS, "PROCESS", "group", "leases"]


def shards(count: int, **options: float) -> Shards:
    """Made without a connection."""
    made = make_topology(parse_hosts([{"host": "localhost", "port": 6000 + n, **options} for n in range(count)]))
    assert isinstance(made, Shards)
    return made


def test_making_one_asks_nobody() -> None:
    """a layer may be made where Redis is not, yet."""
    assert isinstance(make_topology(parse_hosts(["redis://localhost:1"])), Shards)
    assert isinstance(make_topology(parse_hosts([{"cluster": True, "address": "redis://localhost:1"}])), Cluster)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_hash_tag_is_on_the_shard_of_its_hash(count: int) -> None:
    """item 103, R4."""
    topology = shards(count)
    assert len(topology.nodes()) == count
    for tag in TAGS:
        assert topology.node_of(tag) is topology.nodes()[shard_of(tag, count)]


def test_every_shard_is_used() -> None:
    """item 73: ten shards share the hash tags of normal channels and processes."""
    topology = shards(10)
    used = {topology.node_of(f"process{number}") for number in range(500)}
    assert used == set(topology.nodes())


def test_a_node_stands_for_itself() -> None:
    """R14: a flush asks each."""
    topology = shards(3)
    for node in topology.nodes():
        assert topology.node_of(node) is node


def test_queues_of_one_shard_are_waited_for_together() -> None:
    """R6: one blocking command for each shard, whatever the number of names; none is left out."""
    topology = shards(3)
    queues = [f"queue.{number}" for number in range(40)] + ["process!"]
    together = topology.together(queues)
    assert len(together) <= 3
    assert sorted(name for names in together for name in names) == sorted(queues)
    for names in together:
        assert len({topology.node_of(hash_tag_of(name)) for name in names}) == 1
    assert shards(1).together(queues) == [queues]


def test_the_shortest_timeout_counts() -> None:
    """R6: a blocking command must end before the connection's own patience does."""
    assert shards(2, socket_timeout=3).socket_timeout == 3
    hosts = parse_hosts([{"host": "a", "socket_timeout": 8}, {"host": "b", "socket_timeout": 2}])
    assert make_topology(hosts).socket_timeout == 2


def test_a_shard_knows_of_no_move() -> None:
    """what a master that became a replica answers is the transport's to handle."""
    assert shards(2).not_here(ClusterDownError("down")) is None


def test_a_connection_learns_the_version_and_the_time(pytestconfig: pytest.Config) -> None:
    """R3: before anything else is sent."""
    server = shared(pytestconfig, SingleServer)
    connection = make_topology(parse_hosts(server.hosts)).nodes()[0].connect()
    seconds, microseconds = server.client().time()
    assert abs(connection.time - (seconds + microseconds / 1e6)) < 5
    assert connection.newer
    connection.close()


def test_a_server_that_is_not_there_is_a_fault() -> None:
    """R6: whatever it is, it is one of those that are tried again."""
    node = make_topology(parse_hosts([("127.0.0.1", free_port())])).nodes()[0]
    with pytest.raises(FAULTS):
        node.connect()


# A Redis Cluster


@pytest.fixture
def cluster(pytestconfig: pytest.Config) -> Cluster:
    made = make_topology(parse_hosts(shared(pytestconfig, ClusterServers).hosts))
    assert isinstance(made, Cluster)
    return made


def test_a_hash_tag_is_where_its_slot_is(pytestconfig: pytest.Config, cluster: Cluster) -> None:
    """R4: as every client of the cluster hashes what stands in braces."""
    servers = shared(pytestconfig, ClusterServers)
    for tag in TAGS:
        assert str(cluster.node_of(tag)).endswith(f":{servers.owner(key_slot(tag.encode())).port}")
    assert len(cluster.nodes()) == 3
    assert {str(cluster.node_of(tag)) for tag in TAGS} <= {str(node) for node in cluster.nodes()}


def test_nodes_are_made_once(cluster: Cluster) -> None:
    """R10: a connection for each, not for each look."""
    assert cluster.node_of("h1") is cluster.node_of("h1")
    assert set(cluster.nodes()) == set(cluster.nodes())
    assert cluster.node_of(cluster.nodes()[0]) is cluster.nodes()[0]


def test_queues_of_one_hash_tag_are_waited_for_together(cluster: Cluster) -> None:
    """R6: the keys of one command must be in one slot."""
    names = ["ws.PROCESS!", "specific.PROCESS!", "a", "b"]
    together = cluster.together(names)
    assert ["ws.PROCESS!", "specific.PROCESS!"] in together
    assert all(len({hash_tag_of(name) for name in group}) == 1 for group in together)


def test_a_slot_on_its_way_is_asked_for_once_where_it_goes(cluster: Cluster) -> None:
    """ASK: for one command only, so that nothing is learned from it."""
    target = cluster.nodes()[1]
    host, port = str(target).rsplit(":", 1)
    before = {tag: cluster.node_of(tag) for tag in TAGS}
    assert cluster.not_here(AskError(f"1 {host}:{port}")) is target
    assert {tag: cluster.node_of(tag) for tag in TAGS} == before


def test_a_slot_that_moved_is_known_from_then_on() -> None:
    """MOVED: the map is asked for again, in every thread's sight. (In redis-py it is an ``AskError`` too.)"""
    with ClusterServers() as servers:
        topology = make_topology(parse_hosts(servers.hosts))
        before = topology.node_of("h1")
        slot = key_slot(b"h1")
        new = servers.move_slot(slot)
        assert topology.node_of("h1") is before
        assert topology.not_here(MovedError(f"{slot} 127.0.0.1:{new.port}")) is None
        seen: list[Node] = []
        thread = threading.Thread(target=lambda: seen.append(topology.node_of("h1")))
        thread.start()
        thread.join()
        assert str(seen[0]).endswith(f":{new.port}")


def test_a_cluster_that_is_away_is_a_fault() -> None:
    """R6: whatever redis-py raises for it, it is one of those that are tried again."""
    topology = make_topology(parse_hosts([{"cluster": True, "address": f"redis://127.0.0.1:{free_port()}"}]))
    with pytest.raises(FAULTS):
        topology.node_of("h1")
    with pytest.raises(FAULTS):
        topology.nodes()
    with pytest.raises(RedisConnectionError):
        topology.not_here(ClusterDownError("down"))
