"""What is under load: a server and workers, each behind a network of their own that leads to one Redis."""

from __future__ import annotations

import json
import multiprocessing
import signal
from contextlib import ExitStack
from multiprocessing.managers import BaseManager
from typing import Any

from tests.integration.workers.fleet import Fleet, WorkerProgram
from tests.redis_servers import Network, SingleServer

from .ledger import Ledger

#: Seconds for an answer of Redis, for a sign of life, and of silence after which the server pings a client, and then
#: closes it: shorter than the defaults, so that an hour has many of them. A slow machine needs more ``patience`` for
#: the first two.
SOCKET_TIMEOUT = 1.0
LEASE = 6.0
PING = 8

#: The protocol of ``python -m routechan serve``.
SERVER = (
    *("-m", "uvicorn", "tests.integration.workers.server:app", "--log-level", "warning"),
    *("--ws", "routechan.server:WebSocketProtocol"),
    *("--ws-ping-interval", str(PING), "--ws-ping-timeout", str(PING)),
)


class RemoteNetwork(Network):
    """A network that is told what to do by calls only, because it is in another process."""

    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def slow(self, delay: float = 0.0, bandwidth: float = 0.0) -> None:
        self.delay, self.bandwidth = delay, bandwidth


class _Networks(BaseManager):
    """The process that networks are in: what passes through them does not wait for the clients of the soak."""


_Networks.register("network", RemoteNetwork)


class Site(Fleet):
    """Use with ``with``. ``steady``: the first worker is never restarted, so that its memory can be watched."""

    def __init__(self, *, workers: int, steady: bool, patience: float) -> None:
        self.socket_timeout, self.lease = patience * SOCKET_TIMEOUT, patience * LEASE
        self.layer = {"lease": self.lease, "connection_kwargs": {"socket_timeout": self.socket_timeout}}
        self._stack = ExitStack()
        self.redis = self._stack.enter_context(SingleServer())
        networks = self._stack.enter_context(_Networks(ctx=multiprocessing.get_context("spawn")))
        port = self.redis.processes[0].port
        self.server_network: Any = networks.network(port)  # type: ignore[attr-defined]
        self.worker_network: Any = networks.network(port)  # type: ignore[attr-defined]
        environment = {
            "LAYER_OPTIONS": json.dumps(self.layer),
            "LEDGER": self.redis.url,
            "ROUTING": "tests.integration.soak.consumers.channel_routing",
        }
        super().__init__(self.server_network.url(), workers=workers + steady, environment=environment, server=SERVER)
        self.restarted = range(int(steady), workers + steady)
        self.ledger = Ledger(self.redis.url, self.environment["REDIS_PREFIX"] + "-ledger")
        #: What is wrong and nobody else would tell.
        self.complaints: list[str] = []

    def __exit__(self, *exception: object) -> None:
        with self._stack:
            super().__exit__(*exception)

    def new_worker(self) -> WorkerProgram:
        environment = {**self.environment, "REDIS": self.worker_network.url()}
        return WorkerProgram(self._worker, 0, environment=environment)

    async def end_worker(self, index: int, number: int) -> None:
        """Restart it with a signal; its exit status has to be what that signal makes it."""
        expected = 0 if number == signal.SIGTERM else -number
        if (status := await self.restart(index, number)) != expected:
            self.complaints.append(f"a worker ended with status {status} instead of {expected}")
