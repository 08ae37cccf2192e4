"""What every shape of Redis servers can do, and the plain shapes: one server, and shards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import pytest
import redis

from .process import HOST, LOOKING, RedisProcess, valkey_program

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


class ValkeyProcess(RedisProcess):
    """One ``valkey-server``."""

    program = staticmethod(valkey_program)


class ValkeyServer(SingleServer):
    """One server of Valkey, which has gone its own way since Redis 7.2."""

    def __init__(self) -> None:
        self.processes = [ValkeyProcess()]


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


def _others(client: redis.Redis) -> list[dict[str, str]]:
    """The connections of everybody but us, the Sentinels and the other server."""
    ours = (LOOKING, "sentinel-")
    everybody: list[dict[str, str]] = client.client_list()
    return [found for found in everybody if not found["name"].startswith(ours) and found["flags"] not in ("S", "M")]
