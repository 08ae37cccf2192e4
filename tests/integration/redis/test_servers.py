"""The Redis servers of the tests do what tests rely on, and nothing of them stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.crc import key_slot
from redis.retry import Retry
from redis.sentinel import Sentinel

from tests.processes import ROOT
from tests.redis_servers import (
    HOST,
    MASTER_NAME,
    ClusterServers,
    CommandStat,
    Key,
    RedisProcess,
    SentinelServers,
    Servers,
    ShardServers,
    SingleServer,
    TLSServer,
    shared,
    until,
)

SHAPES: dict[str, Callable[[], Servers]] = {
    "single": SingleServer,
    "shards": ShardServers,
    "tls": TLSServer,
    "sentinel": SentinelServers,
    "three-sentinels": lambda: SentinelServers(3),
    "cluster": ClusterServers,
}


@contextmanager
def connected(url: str, **options: Any) -> Iterator[redis.Redis]:
    """A client as a user has it, without second tries."""
    with closing(redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), protocol=2, **options)) as client:
        yield client


@contextmanager
def cluster_client(cluster: ClusterServers) -> Iterator[RedisCluster]:
    client = RedisCluster.from_url(cluster.hosts[0]["address"], protocol=2)
    try:
        yield client
    finally:
        client.close()
        client.disconnect_connection_pools()


@contextmanager
def answered(kind: str, slot: int, where: RedisProcess) -> Iterator[None]:
    """In the block Redis answers ASK or MOVED, with the slot and the node."""
    # redis-py 8 makes exceptions of their own from it, without the first word in the text; redis-py 5 does not.
    with pytest.raises(redis.ResponseError, match=f"{slot} {where}$") as error:
        yield
    assert type(error.value).__name__ == f"{kind.capitalize()}Error" or str(error.value).startswith(f"{kind} ")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A dead process whose parent died too is a zombie until init sees it.
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
def test_all_is_gone_after_stop(make: Callable[[], Servers]) -> None:
    """Stopped servers leave no process, no directory and no open port."""
    with make() as servers:
        pids = [process.pid for process in servers.processes]
        ports = [process.port for process in servers.processes]
        directories = [process.directory for process in servers.processes]
        assert not any(map(is_gone, pids))
        assert all(client.ping() for client in servers.clients())
    assert all(map(is_gone, pids))
    assert not any(directory is None or directory.exists() for directory in directories)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port), 1)


def test_stopping_twice_and_starting_anew() -> None:
    """What is stopped may be stopped again, and begins empty when it is started."""
    servers = SingleServer(appendonly=True)
    with servers:
        servers.client().set("k", 1)
    servers.stop()
    with servers:
        assert servers.keys() == {}


def test_shared_servers_are_started_once(pytestconfig: pytest.Config, single: SingleServer) -> None:
    """A test run has one server of each shape: asking again gives the same."""
    assert shared(pytestconfig, SingleServer) is single
    assert single.client().ping()


def test_a_start_that_fails_shows_the_log() -> None:
    """A server that does not start says why in the error, and leaves nothing."""
    servers = SingleServer(arguments=["--no-such-option", "1"])
    with pytest.raises(AssertionError, match=r"(?s)did not start.*no-such-option"):
        servers.start()
    assert servers.processes[0].directory is None
    assert not servers.processes[0].alive


def test_a_taken_port_is_left_alone(single: SingleServer) -> None:
    """A port that somebody took meanwhile is not waited for: the server goes to another one."""

    class Unlucky(RedisProcess):
        tries = 0

        def _choose_ports(self) -> None:
            super()._choose_ports()
            self.tries += 1
            if self.tries == 1:
                self.port = single.port

    process = Unlucky()
    try:
        process.start()
        assert process.tries == 2
        assert process.info("server")["process_id"] == process.pid
    finally:
        process.stop()


@pytest.mark.skipif(not shutil.which("setpriv"), reason="only Linux (util-linux) ends processes with their parent")
def test_servers_die_with_the_tests(tmp_path: Path) -> None:
    """SIGKILL of the test process ends its servers too."""
    code = (
        "import sys; from tests.redis_servers import SingleServer; s = SingleServer(); s.start();"
        "print(s.processes[0].pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # nobody removes its directory
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        alive_before = not is_gone(pid)
        tests.send_signal(signal.SIGKILL)
        tests.wait(20)
    assert alive_before
    until(lambda: is_gone(pid), "the server is gone")


def test_servers_outlive_the_thread_that_started_them() -> None:
    """A server lives on when the thread that asked for it ends."""
    servers = SingleServer()
    thread = threading.Thread(target=servers.start)
    thread.start()
    thread.join()
    try:
        pid = servers.client().info("server")["process_id"]
        # Had the kernel killed it, the connection would be gone by the time of a second thread's end.
        thread = threading.Thread(target=servers.client().ping)
        thread.start()
        thread.join()
        assert servers.client().info("server")["process_id"] == pid
    finally:
        servers.stop()


@pytest.mark.parametrize("durable", [True, False])
def test_kill_and_start_keep_the_port(durable: bool) -> None:
    """A killed server refuses connections, then answers on the same port, with its data if it is append-only."""
    with SingleServer(appendonly=durable) as servers, connected(servers.url) as user:
        user.set("k", b"v")
        port, pid = servers.port, servers.processes[0].pid
        servers.kill()
        with pytest.raises(redis.ConnectionError):
            user.ping()
        servers.start()
        assert (servers.port, servers.processes[0].pid != pid) == (port, True)
        assert user.get("k") == (b"v" if durable else None)


def test_pause_holds_answers_back(own_single: SingleServer) -> None:
    """While the server is paused nobody is answered; afterwards the command is."""
    with connected(own_single.url) as user:
        user.ping()
        began = time.monotonic()
        own_single.pause(300)
        user.set("k", 1)
        assert time.monotonic() - began >= 0.29


def test_keys_have_types_and_ttls(prefix: str, shards: ShardServers) -> None:
    """Keys of all masters are seen, with type and seconds to live; ``match`` leaves the other tests' out."""
    one, two, three = shards.clients()
    one.set(f"{prefix}:s", 1, px=5000)
    two.rpush(f"{prefix}:l", 1)
    three.zadd(f"{prefix}:z", {"a": 1})
    found = shards.keys(f"{prefix}:*")
    ttl = found[f"{prefix}:s"].ttl
    assert ttl is not None
    assert 4 < ttl <= 5
    assert found == {
        f"{prefix}:s": Key("string", ttl),
        f"{prefix}:l": Key("list", None),
        f"{prefix}:z": Key("zset", None),
    }
    for client, kind in zip((one, two, three), "slz", strict=True):
        client.delete(f"{prefix}:{kind}")


def test_flushall_empties_all_masters(own_cluster: ClusterServers) -> None:
    """``flushall`` reaches every master."""
    with cluster_client(own_cluster) as user:
        for number in range(30):
            user.set(f"k{number}", number)
    assert len(own_cluster.keys()) == 30
    own_cluster.flushall()
    assert own_cluster.keys() == {}


def test_command_stats_count_commands(own_single: SingleServer) -> None:
    """Calls and microseconds by command, subcommands with a bar; they can be begun anew."""
    with connected(own_single.url) as user:
        own_single.reset_command_stats()
        for _ in range(3):
            user.rpush("l", "v")
        user.client_id()
    stats = own_single.command_stats()
    assert stats["rpush"].calls == 3
    assert stats["rpush"].usec >= 1
    assert stats["client|id"].calls == 1
    own_single.reset_command_stats()
    assert "rpush" not in own_single.command_stats()


def test_command_stats_are_sums(shards: ShardServers) -> None:
    """What several masters did is added up."""
    before = shards.command_stats().get("echo", CommandStat(0, 0)).calls
    for client in shards.clients():
        client.echo("here")
    assert shards.command_stats()["echo"].calls == before + 3


def test_connections_are_counted_and_dropped(own_single: SingleServer) -> None:
    """Connections of users are counted without our own, and CLIENT KILL ends each of them."""
    before = own_single.connections()
    assert before.now == 0
    with connected(own_single.url) as one, connected(own_single.url) as two:
        one.ping()
        channel = two.pubsub()
        channel.subscribe("c")
        assert own_single.connections() == (2, before.ever + 2)
        assert own_single.drop_connections() == 2
        until(lambda: own_single.connections().now == 0, "nobody is connected")
        channel.close()


def test_shards_know_nothing_of_each_other(prefix: str, shards: ShardServers) -> None:
    """Three hosts are three servers."""
    assert len(set(shards.hosts)) == 3
    first, *others = shards.clients()
    first.set(prefix, 1)
    assert [client.exists(prefix) for client in others] == [0, 0]
    first.delete(prefix)


def test_sentinel_hosts_lead_to_the_master(prefix: str, sentinel: SentinelServers) -> None:
    """Who asks the Sentinels of ``hosts`` comes to a master that takes writes, which its replica gets."""
    (host,) = sentinel.hosts
    watcher = Sentinel(host["sentinels"], sentinel_kwargs={"protocol": 2}, protocol=2)
    with closing(watcher.master_for(host["master_name"])) as user:
        user.set(prefix, b"v", ex=60)
        assert user.wait(1, 5000) == 1
    for found in watcher.sentinels:
        found.close()
    assert sentinel.replica.client().get(prefix) == b"v"
    assert list(sentinel.keys(prefix)) == [prefix]


def test_sentinels_and_replicas_are_no_users(sentinel: SentinelServers) -> None:
    """A Sentinel's connections and those of replication are not counted, so a test sees its own."""
    assert sentinel.connections().now == 0


def test_failover_and_back(sentinel: SentinelServers) -> None:
    """Twice a failover: both servers were the master, nothing was killed, the old one takes no writes."""
    old, pids = sentinel.master, [server.pid for server in sentinel.servers]
    new = sentinel.failover()
    assert new is not old
    assert sentinel.master is new
    with pytest.raises(redis.ReadOnlyError):
        old.client().set("k", 1)
    assert sentinel.failover() is old
    assert [server.pid for server in sentinel.servers] == pids


def test_a_killed_master_is_replaced(own_sentinel: SentinelServers) -> None:
    """The replica becomes the master with what it had; the old master comes back as a replica."""
    old = own_sentinel.master
    old.client().set("k", b"v")
    old.client().wait(1, 5000)
    new = own_sentinel.kill_master()
    assert new is not old
    assert not old.alive
    assert new.client().get("k") == b"v"
    new.client().set("k", b"later")
    own_sentinel.start()
    assert own_sentinel.replica is old
    assert old.client().get("k") == b"later"


def test_three_sentinels_agree() -> None:
    """With three Sentinels each knows the other two, and each names the new master."""
    with SentinelServers(3, down_after=1.0) as servers:
        (host,) = servers.hosts
        assert len(host["sentinels"]) == 3
        new = servers.kill_master()
        for watching in servers.sentinels:
            assert int(watching.ask("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1]) == new.port


def test_a_cluster_serves_all_slots(prefix: str, cluster: ClusterServers) -> None:
    """A cluster client that knows only ``hosts`` writes to all three masters."""
    names = {f"{prefix}:{number}" for number in range(50)}
    with cluster_client(cluster) as user:
        for name in names:
            user.set(name, 1, ex=60)
        assert len(user.get_primaries()) == 3
    assert set(cluster.keys(f"{prefix}:*")) == names
    assert all(any(client.scan_iter(f"{prefix}:*")) for client in cluster.clients())


def test_a_slot_on_its_way_answers_ask_then_moved(prefix: str, cluster: ClusterServers) -> None:
    """While a slot moves, keys that went are answered ASK and those that stayed are served; then MOVED."""
    slot = key_slot(prefix.encode())
    here, later = f"{{{prefix}}}:here", f"{{{prefix}}}:later"
    source = cluster.owner(slot)
    source.client().set(here, b"v", ex=60)
    with cluster.moving(slot) as move:
        assert move.source is source
        assert source.client().get(here) == b"v"
        with answered("ASK", slot, move.target):
            source.client().set(later, 1)
        assert move.keys() >= 1  # more where a key of another test is in the slot
        with answered("ASK", slot, move.target):
            source.client().get(here)
        with answered("MOVED", slot, source):
            move.target.client().get(here)  # not without ASKING
        assert cluster.owner(slot) is source
    with answered("MOVED", slot, move.target):
        source.client().get(here)
    assert move.target.client().get(here) == b"v"
    assert cluster.owner(slot) is move.target
    assert cluster.move_slot(slot, source) is source
    assert source.client().get(here) == b"v"


def test_a_moved_slot_takes_its_keys_along(prefix: str, cluster: ClusterServers) -> None:
    """``move_slot`` carries keys that nobody moved by hand, with their times to live."""
    slot = key_slot(prefix.encode())
    source = cluster.owner(slot)
    names = {f"{{{prefix}}}:{number}" for number in range(250)}
    with source.client().pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.set(name, 1, ex=60)
        pipeline.execute()
    target = cluster.move_slot(slot)
    assert target is not source
    found = {name.decode(): target.client().ttl(name) for name in target.client().scan_iter(f"{{{prefix}}}:*")}
    assert set(found) == names
    assert all(0 < ttl <= 60 for ttl in found.values())
    cluster.move_slot(slot, source)


def test_a_cluster_node_comes_back(own_cluster: ClusterServers) -> None:
    """Without one of its masters a cluster serves nothing; started again it has its slots and data as before."""
    node = own_cluster.nodes[1]
    slot = next(slot for slot in map(key_slot, (b"%d" % n for n in range(99))) if own_cluster.owner(slot) is node)
    name = next(b"%d" % n for n in range(99) if key_slot(b"%d" % n) == slot)
    node.client().set(name, b"v")
    node.kill()
    assert len(own_cluster.clients()) == 2
    until(lambda: b"cluster_state:fail" in own_cluster.nodes[0].ask("CLUSTER INFO"), "the others notice")
    own_cluster.start()
    assert own_cluster.owner(slot) is node
    with cluster_client(own_cluster) as user:
        assert user.get(name) == b"v"


def test_tls_is_checked_against_the_ca(tls: TLSServer) -> None:
    """With the CA of ``hosts`` the server is trusted, under both of its names; without it is not."""
    (host,) = tls.hosts
    with connected(host["address"], ssl_ca_certs=host["ssl_ca_certs"]) as user:
        assert user.ping()
    with connected(host["address"]) as stranger, pytest.raises(redis.ConnectionError, match="(?i)certificate"):
        stranger.ping()
    context = ssl.create_default_context(cafile=tls.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    port = tls.processes[0].port
    with socket.create_connection((HOST, port), 5) as plain, context.wrap_socket(plain, server_hostname="localhost"):
        pass


def test_tls_only(tls: TLSServer) -> None:
    """Nobody is served in plain text."""
    with connected(tls.hosts[0]["address"].replace("rediss", "redis")) as plain, pytest.raises(redis.ConnectionError):
        plain.ping()


def test_missing_redis_skips_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-server tests skip, and say what to install."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install redis-server"):
        SingleServer().start()


def test_missing_redis_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a missing redis-server is a failure."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI needs redis-server"):
        SingleServer().start()
