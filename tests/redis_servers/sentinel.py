"""A master and a replica that Sentinels watch over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .process import HOST, RedisProcess, text, until
from .servers import Servers

MASTER_NAME = "mymaster"


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


def _role(server: RedisProcess) -> str:
    return str(server.info("replication")["role"])


def _follows(replica: RedisProcess, master: RedisProcess) -> bool:
    state = replica.info("replication")
    return (
        (state["role"], state.get("master_port"), state.get("master_link_status")) == ("slave", master.port, "up")
        and not state["master_sync_in_progress"]
        and master.info("replication")["connected_slaves"] == 1
    )


def _pairs(flat: Sequence[Any]) -> dict[str, str]:
    words = [text(word) for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))
