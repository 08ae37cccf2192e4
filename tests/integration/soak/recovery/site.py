"""What is restarted: two servers and two workers, on a Redis that Sentinels watch over."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from typing import Any

from tests.integration.workers.fleet import Fleet
from tests.redis_servers import SentinelServers

#: How much is kept of the history of a group: more than a phase of a run sends.
KEPT = {"size": 3000, "seconds": 600}

#: Seconds without an answer of a master after which another takes its place.
DOWN_AFTER = 2.0

#: The protocol of ``python -m routechan serve``.
SERVER = (
    *("-m", "uvicorn", "tests.integration.workers.server:app", "--log-level", "warning"),
    *("--ws", "routechan.server:WebSocketProtocol"),
)


class Site(Fleet):
    """Use with ``with``. Lifetime: one run."""

    def __init__(self, lease: float) -> None:
        self.redis = SentinelServers(sentinels=3, down_after=DOWN_AFTER, appendonly=True)
        self.redis.start()
        self.layer: dict[str, Any] = {
            "hosts": self.redis.hosts,
            "prefix": secrets.token_hex(6),
            "lease": lease,
            "history": {"feed-*": KEPT},
        }
        environment = {
            "REDIS": "",
            "REDIS_PREFIX": self.layer["prefix"],
            "LAYER_OPTIONS": json.dumps({name: self.layer[name] for name in ("hosts", "lease", "history")}),
            "ROUTING": "tests.integration.soak.recovery.consumers.channel_routing",
        }
        super().__init__("", servers=2, workers=2, environment=environment, server=SERVER)

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.redis.stop()

    async def restart_server(self, index: int) -> None:
        """End a server with SIGTERM, and start another on its port."""
        await asyncio.to_thread(self.servers[index].stop)
        await asyncio.to_thread(self.servers[index].start)

    async def kill_worker(self, index: int) -> None:
        await self.restart(index, signal.SIGKILL)
