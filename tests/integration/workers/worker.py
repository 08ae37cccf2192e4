"""A worker process without Django: ``python -m tests.integration.workers.worker THREADS``. SIGTERM drains it.

``ROUTING`` in the environment is the dotted path of another routing than that of ``consumers``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from routechan.consumers.dispatch import Dispatcher
from routechan.routing import Router, default_routes
from routechan.worker import events
from routechan.worker.process import WorkerProcess

from .layer import shared_layer

ROUTING = "tests.integration.workers.consumers.channel_routing"

events.SERVER_CHECK_INTERVAL = 0.5  # tests wait for it


async def main() -> int:
    router = Router(os.environ.get("ROUTING", ROUTING), defaults=default_routes())
    layer = shared_layer()
    worker = WorkerProcess(
        Dispatcher(router),
        layer.sync,
        router.channels,
        threads=int(sys.argv[1]),
        ready=lambda: print("ready", flush=True),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    late = await worker.run()
    layer.close()
    return late


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(asyncio.run(main()))
