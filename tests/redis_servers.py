"""Real Redis servers for tests, in every shape ``hosts`` can name: started on free ports, stopped for sure.

All calls block; each class is used with ``with`` or with ``start()`` and ``stop()``. ``shared()`` gives one that the
whole test run uses: tests there keep apart by random prefixes. Tests that break a server start one of their own.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import ipaddress
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.processes import PATIENCE, free_port

x509: Any = None
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
MASTER_NAME = "mymaster"
SLOTS = 16384

#: The name of our own connections, so that they are not counted.
LOOKING = "looking-inside"

#: Linux ends a server when the thread that started it is gone, so one thread that lasts starts them all.
_starter = ThreadPoolExecutor(1, thread_name_prefix="redis-starter")

AnyServers = TypeVar("AnyServers", bound="Servers")


class Key(NamedTuple):
    """What is known of a key; ``ttl`` in seconds, None where it never expires."""

    type: str
    ttl: float | None


class CommandStat(NamedTuple):
    calls: int
    usec: int


class Connections(NamedTuple):
    """How many there are but for our own and the Sentinels'; ``ever`` is Redis' counter of all there were."""

    now: int
    ever: int


def missing(what: str) -> None:
    """Redis is optional on a laptop, not in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what} for the tests on Redis")
    pytest.skip(f"the tests on Redis need {what}")


def redis_program() -> str:
    """The path of ``redis-server``; skips the test where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        missing("redis-server: apt-get install redis-server")
    version = subprocess.run([str(found), "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"v=(\d+)", version)
    if number is None or int(number[1]) < 7:
        missing(f"redis-server 7 or later, not {version.strip()}")
    return str(found)


def until(condition: Callable[[], bool], what: str) -> None:
    """Poll ``condition()`` until it is true, at most ``PATIENCE`` seconds; a Redis error is "not yet"."""
    deadline = time.monotonic() + PATIENCE
    last: Exception | None = None
    while True:
        try:
            if condition():
                return
        except redis.RedisError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"after {PATIENCE:g} s it is not so that {what} (last error: {last!r})")
        threading.Event().wait(0.01)


def server_port() -> int:
    """A free port below those given to outgoing connections, so that none of them takes it while its server is dead."""
    lowest = 32768
    with contextlib.suppress(OSError, ValueError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if lowest < 12000:
        return free_port()
    while True:
        port = lowest - 1 - secrets.randbelow(10000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


class RedisProcess:
    """One ``redis-server`` on a port that it keeps when it is killed and started again. Lifetime: test or test run."""

    def __init__(self, *, appendonly: bool = False, arguments: Sequence[str] = ()) -> None:
        self.appendonly = appendonly
        self.extra = arguments
        self.port = 0
        self.directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None

    def __str__(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return "" if self.directory is None else (self.directory / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, or start it again after ``kill()``; back when it answers."""
        if self.alive:
            return
        program = redis_program()
        fresh = self.directory is None
        if fresh:
            self.directory = Path(tempfile.mkdtemp(prefix="rt-redis-"))
            atexit.register(self._stop_at_exit, os.getpid())
        deadline = time.monotonic() + PATIENCE
        while True:
            if fresh:
                self._choose_ports()
            self._launch(program)
            if self._comes_up(deadline):
                return
            log = self.log
            self.kill()
            if "Address already in use" not in log or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"redis-server did not start on {self}:\n{log}")

    def kill(self) -> None:
        """SIGKILL; its port and its directory are kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._client is not None:
            self._client.close()
            self._client = None

    def stop(self) -> None:
        """End it and forget everything. Nothing is worth a gentle shutdown."""
        self.kill()
        atexit.unregister(self._stop_at_exit)
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def client(self) -> redis.Redis:
        """A client for looking inside; replies are bytes. It is closed with the server."""
        if self._client is None:
            self._client = redis.Redis(**self._client_options())
        return self._client

    def ask(self, *command: Any) -> Any:
        """The reply of one command as Redis sent it."""
        first, *rest = str(command[0]).split() + list(command[1:])
        return self.client().execute_command(first, *rest)

    def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client().info(section)
        return found

    def _choose_ports(self) -> None:
        self.port = server_port()

    def _client_options(self) -> dict[str, Any]:
        return {
            "host": HOST,
            "port": self.port,
            "protocol": 2,
            "client_name": LOOKING,
            "socket_timeout": PATIENCE,
            "retry": Retry(NoBackoff(), 1),  # the connection of before a restart
        }

    def _arguments(self) -> list[str]:
        return [
            *(*self._port_arguments(), "--bind", HOST, "--dir", str(self.directory), "--logfile", "", "--save", ""),
            *("--appendonly", "yes" if self.appendonly else "no"),
            *self.extra,
        ]

    def _port_arguments(self) -> list[str]:
        return ["--port", str(self.port)]

    def _launch(self, program: str) -> None:
        assert self.directory is not None
        keeper = shutil.which("setpriv")
        command = [*([keeper, "--pdeathsig", "KILL"] if keeper else []), program, *self._arguments()]
        with (self.directory / "log").open("w") as log:
            # A group of its own: Ctrl-C is for the tests.
            self._process = _starter.submit(
                subprocess.Popen,
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ).result()

    def _comes_up(self, deadline: float) -> bool:
        while self.alive and time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                # Another server may answer on this port until ours finds it taken.
                if self.client().ping() and self.info("server")["process_id"] == self.pid:
                    return True
            threading.Event().wait(0.005)
        return False

    def _stop_at_exit(self, owner: int) -> None:
        if os.getpid() == owner:
            self.stop()


class Servers(ABC):
    """The face of all shapes. Lifetime: test or test run."""

    #: Every process, masters or not.
    processes: list[RedisProcess]

    def __enter__(self: AnyServers) -> AnyServers:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start what is not running; back when it serves."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for process in self.processes:
            process.stop()

    @property
    @abstractmethod
    def hosts(self) -> list[Any]:
        """The value of the layer's option ``hosts``."""

    @property
    def masters(self) -> list[RedisProcess]:
        """The processes that hold the data."""
        return self.processes

    def clients(self) -> list[redis.Redis]:
        """A client of each master, for looking inside."""
        return [master.client() for master in self.masters]

    def flushall(self) -> None:
        for client in self.clients():
            client.flushall()

    def keys(self, match: str = "*") -> dict[str, Key]:
        """All keys that ``match`` (a glob of Redis), on all masters."""
        found = {}
        for client in self.clients():
            names = list(client.scan_iter(match, count=1000))
            with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.type(name).pttl(name)
                replies = pipeline.execute()
            for name, kind, ttl in zip(names, replies[::2], replies[1::2], strict=True):
                if kind != b"none" and ttl != -2:  # it expired meanwhile
                    found[name.decode(errors="backslashreplace")] = Key(kind.decode(), None if ttl < 0 else ttl / 1000)
        return found

    def pause(self, milliseconds: int) -> None:
        """No master answers anybody for so long, our own clients included."""
        for client in self.clients():
            client.execute_command("CLIENT", "PAUSE", milliseconds, "ALL")

    def drop_connections(self) -> int:
        """``CLIENT KILL`` all connections but our own; how many there were."""
        dropped = 0
        for client in self.clients():
            for found in _others(client):
                dropped += int(client.execute_command("CLIENT", "KILL", "ID", found["id"]))
        return dropped

    def connections(self) -> Connections:
        """Sums of all masters."""
        now = sum(len(_others(client)) for client in self.clients())
        return Connections(now, sum(client.info("stats")["total_connections_received"] for client in self.clients()))

    def command_stats(self) -> dict[str, CommandStat]:
        """Calls and microseconds of each command ("evalsha", "client|list"); sums of all masters."""
        found: dict[str, CommandStat] = {}
        for client in self.clients():
            for name, stat in client.info("commandstats").items():
                name = name.removeprefix("cmdstat_")
                before = found.get(name, CommandStat(0, 0))
                found[name] = CommandStat(before.calls + stat["calls"], before.usec + stat["usec"])
        return found

    def reset_command_stats(self) -> None:
        for client in self.clients():
            client.config_resetstat()

    def _start(self) -> None:
        for process in self.processes:
            process.start()


class ShardServers(Servers):
    """``n`` servers that know nothing of each other."""

    def __init__(self, n: int = 3, *, appendonly: bool = False, arguments: Sequence[str] = ()) -> None:
        self.processes = [RedisProcess(appendonly=appendonly, arguments=arguments) for _ in range(n)]

    @property
    def hosts(self) -> list[Any]:
        return [(HOST, process.port) for process in self.processes]


class SingleServer(ShardServers):
    """One server. ``appendonly``: data survives ``kill()`` and ``start()``."""

    def __init__(self, *, appendonly: bool = False, arguments: Sequence[str] = ()) -> None:
        super().__init__(1, appendonly=appendonly, arguments=arguments)

    @property
    def port(self) -> int:
        return self.processes[0].port

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    def kill(self) -> None:
        """SIGKILL; ``start()`` brings it back on the same port."""
        self.processes[0].kill()

    def client(self) -> redis.Redis:
        return self.processes[0].client()


class TLSServer(Servers):
    """One server that speaks TLS only; its certificate is signed by a CA made for it."""

    def __init__(self, *, appendonly: bool = False, arguments: Sequence[str] = ()) -> None:
        self.processes = [_TLSProcess(appendonly=appendonly, arguments=arguments)]

    @property
    def ca(self) -> str:
        """The file of the CA's certificate."""
        return str(self.processes[0].directory) + "/ca.pem"

    @property
    def hosts(self) -> list[Any]:
        return [{"address": f"rediss://{HOST}:{self.processes[0].port}", "ssl_ca_certs": self.ca}]


class SentinelServers(Servers):
    """A master and a replica, watched by ``sentinels`` Sentinels.

    ``down_after``: seconds without an answer after which a master is replaced. 1 is for tests that kill it; on a
    busy machine a server that is merely slow is replaced too. Less goes wrong.
    """

    def __init__(self, sentinels: int = 1, *, down_after: float = 5.0, appendonly: bool = False) -> None:
        quick = ("--repl-diskless-sync-delay", "0")
        self.servers = [RedisProcess(appendonly=appendonly, arguments=quick) for _ in range(2)]
        self.sentinels = [_SentinelProcess(self.servers[0], sentinels // 2 + 1, down_after) for _ in range(sentinels)]
        # Sentinels go first, so that they see no master vanish.
        self.processes = [*self.sentinels, *self.servers]

    @property
    def hosts(self) -> list[Any]:
        return [{"sentinels": [(HOST, sentinel.port) for sentinel in self.sentinels], "master_name": MASTER_NAME}]

    @property
    def master(self) -> RedisProcess:
        """Who is the master, as the first Sentinel says."""
        return self._named_by(self.sentinels[0])

    @property
    def replica(self) -> RedisProcess:
        return self._other(self.master)

    @property
    def masters(self) -> list[RedisProcess]:
        return [self.master]

    def failover(self) -> RedisProcess:
        """Master and replica change roles; back with the new master when both have and all Sentinels agree."""
        new = self.replica
        self.sentinels[0].ask("SENTINEL FAILOVER", MASTER_NAME)
        until(lambda: self._all_name(new) and self._settled(new), f"{new} is the master")
        return new

    def kill_master(self) -> RedisProcess:
        """SIGKILL the master; back with the new one when all Sentinels name it. ``start()`` brings back the old."""
        new = self.replica
        self.master.kill()
        until(lambda: self._all_name(new) and _role(new) == "master", f"{new} is the master")
        until(self._done, "the failover has ended")
        return new

    def _start(self) -> None:
        first = not any(process.directory for process in self.processes)
        for server in self.servers:
            server.start()
        if first:
            self.servers[1].ask("REPLICAOF", HOST, self.servers[0].port)
            until(lambda: _follows(self.servers[1], self.servers[0]), "the replica follows")
        for sentinel in self.sentinels:
            sentinel.start()
        until(lambda: self._all_name(self.master) and self._settled(self.master), "all Sentinels know all servers")

    def _named_by(self, sentinel: RedisProcess) -> RedisProcess:
        _host, port = sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
        return next(server for server in self.servers if server.port == int(port))

    def _all_name(self, server: RedisProcess) -> bool:
        return all(self._named_by(sentinel) is server for sentinel in self.sentinels)

    def _done(self) -> bool:
        return all(self._seen(sentinel)["flags"] == "master" for sentinel in self.sentinels)

    def _seen(self, sentinel: RedisProcess) -> dict[str, str]:
        """What a Sentinel knows of the master."""
        return _pairs(sentinel.ask("SENTINEL MASTER", MASTER_NAME))

    def _settled(self, master: RedisProcess) -> bool:
        """Both servers have their roles, and every Sentinel sees so and would accept the next failover."""
        replica = self._other(master)
        if not (_role(master) == "master" and _follows(replica, master)):
            return False
        for sentinel in self.sentinels:
            seen = self._seen(sentinel)
            replicas = [_pairs(found) for found in sentinel.ask("SENTINEL REPLICAS", MASTER_NAME)]
            others = [_pairs(found) for found in sentinel.ask("SENTINEL SENTINELS", MASTER_NAME)]
            if (
                seen["flags"] != "master"
                or [(found["flags"], found["master-link-status"]) for found in replicas] != [("slave", "ok")]
                or [found["flags"] for found in others] != ["sentinel"] * (len(self.sentinels) - 1)
            ):
                return False
        return True

    def _other(self, server: RedisProcess) -> RedisProcess:
        return self.servers[1 - self.servers.index(server)]


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
        state = dict(line.split(":", 1) for line in _text(node.ask("CLUSTER INFO")).split())
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


def shared(config: pytest.Config, kind: type[AnyServers]) -> AnyServers:
    """The servers of a kind that this test run shares: started when first asked for, stopped when it ends."""
    running = config.stash.setdefault(_RUNNING, {})
    if kind not in running:
        servers = kind()
        servers.start()
        config.add_cleanup(servers.stop)
        running[kind] = servers
    found: Any = running[kind]
    return found  # type: ignore[no-any-return]


_RUNNING = pytest.StashKey[dict[type[Servers], Servers]]()


class _TLSProcess(RedisProcess):
    def start(self) -> None:
        if x509 is None:
            missing("cryptography: pip install cryptography")
        super().start()

    def _port_arguments(self) -> list[str]:
        assert self.directory is not None
        if not (self.directory / "ca.pem").exists():
            make_certificates(self.directory)
        files = {"tls-ca-cert-file": "ca.pem", "tls-cert-file": "server.pem", "tls-key-file": "server.key"}
        named = [word for option, file in files.items() for word in (f"--{option}", str(self.directory / file))]
        return ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no", *named]

    def _client_options(self) -> dict[str, Any]:
        return {**super()._client_options(), "ssl": True, "ssl_ca_certs": f"{self.directory}/ca.pem"}


class _SentinelProcess(RedisProcess):
    """A Sentinel. It writes what it learns into its configuration file."""

    def __init__(self, master: RedisProcess, quorum: int, down_after: float) -> None:
        super().__init__()
        self._master = master
        self._quorum = quorum
        self._down_after = int(down_after * 1000)

    def start(self) -> None:
        super().start()
        # More often than by default, so that a failover takes two seconds, not ten. PING-PERIOD cannot go lower: a
        # replica whose INFO is older than five of it is no candidate, and INFO comes once a second. Nor higher: a
        # new master that is not pinged within `down_after` is replaced at once.
        periods = {"INFO-PERIOD": 200, "PING-PERIOD": 400, "PUBLISH-PERIOD": 200, "ASK-PERIOD": 100}
        # A busy machine must not put it to sleep for half a minute.
        tilt = {"TILT-TRIGGER": 10_000, "TILT-PERIOD": 500}
        self.ask("SENTINEL DEBUG", *(word for pair in {**periods, **tilt}.items() for word in pair))

    def _arguments(self) -> list[str]:
        assert self.directory is not None
        file = self.directory / "sentinel.conf"
        if not file.exists() or f"port {self.port}\n" not in file.read_text():
            file.write_text(
                f"port {self.port}\nbind {HOST}\ndir {self.directory}\n"
                f"sentinel monitor {MASTER_NAME} {HOST} {self._master.port} {self._quorum}\n"
                f"sentinel down-after-milliseconds {MASTER_NAME} {self._down_after}\n"
                f"sentinel failover-timeout {MASTER_NAME} 3000\n"
            )
        return [str(file), "--sentinel"]


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


def make_certificates(directory: Path) -> None:
    """Write ``ca.pem``, and ``server.pem`` with ``server.key`` for this machine, valid for a day."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of these tests")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    plain = (
        x509.CertificateBuilder()
        .issuer_name(ca_name)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
    ca = (
        plain.subject_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(issuer, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    addresses = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    server = (
        plain.subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "server.pem").write_bytes(server.public_bytes(pem))
    traditional, open_ = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    (directory / "server.key").write_bytes(key.private_bytes(pem, traditional, open_))


def _usage(**used: bool) -> Any:
    known = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    return x509.KeyUsage(
        **{**dict.fromkeys([*known.split(), "crl_sign", "encipher_only", "decipher_only"], False), **used}
    )


def _others(client: redis.Redis) -> list[dict[str, str]]:
    """The connections of everybody but us, the Sentinels and the other server."""
    ours = (LOOKING, "sentinel-")
    everybody: list[dict[str, str]] = client.client_list()
    return [found for found in everybody if not found["name"].startswith(ours) and found["flags"] not in ("S", "M")]


def _role(server: RedisProcess) -> str:
    return str(server.info("replication")["role"])


def _follows(replica: RedisProcess, master: RedisProcess) -> bool:
    state = replica.info("replication")
    return (
        (state["role"], state.get("master_port"), state.get("master_link_status")) == ("slave", master.port, "up")
        and not state["master_sync_in_progress"]
        and master.info("replication")["connected_slaves"] == 1
    )


def _node_id(node: RedisProcess) -> str:
    return _text(node.ask("CLUSTER MYID"))


def _text(reply: Any) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _pairs(flat: Sequence[Any]) -> dict[str, str]:
    words = [_text(word) for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))
