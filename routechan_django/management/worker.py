"""A worker on a thread of the development server."""

from __future__ import annotations

import asyncio
import logging
import threading

from routechan.worker.process import WorkerProcess

from .. import conf
from ..application import dispatcher
from ..layer import ChannelLayerWrapper
from ..signals import worker_ready

logger = logging.getLogger("routechan")

#: Seconds that consumers have to end in, when the server is stopped: a developer should not have to wait.
DRAIN_TIME = 1.0


class BackgroundWorker(threading.Thread):
    """Runs the consumers of a layer, except those of channels that a ``runworker`` reads. Lifetime: its ``with`` block.

    Args:
        layer: The layer, with the routing of its consumers.
    """

    def __init__(self, layer: ChannelLayerWrapper) -> None:
        super().__init__(name=f"routechan-worker-{layer.alias}", daemon=True)
        layer.router.check_default()
        self._process = WorkerProcess(
            dispatcher(layer),
            layer,
            layer.router.channels,
            threads=conf.thread_limit(),
            stream_threads=conf.stream_thread_limit(),
            socket_streams=conf.socket_stream_limit(),
            drain=DRAIN_TIME,
            yields=True,
        )

    def __enter__(self) -> BackgroundWorker:
        worker_ready.send(sender=self._process)
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stop()
        self.join(2 * DRAIN_TIME)

    def run(self) -> None:
        """Run consumers until the end of the ``with`` block."""
        try:
            asyncio.run(self._process.run())
        except Exception:
            logger.exception("The worker of the development server has ended; sockets are not served any more")
