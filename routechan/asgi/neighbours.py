"""Other processes that serve the same address, as ``uvicorn --workers`` has them: a layer in memory is not shared."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from ..layers.base import BaseChannelLayer

logger = logging.getLogger("routechan")

#: Seconds after the start of a server until it listens, and its neighbours too.
STARTING_TIME = 2.0


class Neighbours:
    """Warns, in one process, where a layer that lives in one is served by several. Lifetime: that of the server.

    Each process locks a file for every address that it listens on. Servers with several worker processes listen on the
    same address in all of them, others do not. The lock ends with its process.

    Args:
        layer: the layer that is served.
    """

    def __init__(self, layer: BaseChannelLayer) -> None:
        self._layer = layer
        self._timer: asyncio.TimerHandle | None = None
        self._locks: list[int] = []

    def start(self) -> None:
        """Look a little later, once the server listens."""
        if fcntl is not None and not self._layer.crosses_processes:
            self._timer = asyncio.get_running_loop().call_later(STARTING_TIME, self._look)

    def stop(self) -> None:
        """Give the locks back."""
        if self._timer is not None:
            self._timer.cancel()
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def _look(self) -> None:
        for address in addresses():
            try:
                neighbour = self._lock(address)
                told = neighbour is not None and self._lock(f"{address} told") is not None
            except OSError as error:  # no folder for temporary files, or another user's file
                logger.debug("Whether another process serves %s cannot be told: %s", address, error)
                continue
            if told:  # another neighbour says it
                return
            if neighbour is not None:
                logger.warning(
                    "Another process (pid %s) serves %s too, and the channel layer %s is in memory: what one process "
                    "sends to groups and channels never reaches the sockets of the other. Serve with one process, or "
                    "use routechan.layers.RedisChannelLayer",
                    neighbour,
                    address,
                    type(self._layer).__name__,
                )
                return

    def _lock(self, address: str) -> str | None:
        """Lock the file of ``address``.

        Returns:
            The id of the process that has locked it already, else None.
        """
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"routechan-{os.getuid()}-{name}.lock"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with os.fdopen(file) as locked:
                return locked.read(20) or "unknown"
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        self._locks.append(file)
        return None


def addresses() -> Iterator[str]:
    """The addresses that this process listens on, as text; empty where the system does not say."""
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return
    for descriptor in descriptors:
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as found:
                if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    continue
                name = found.getsockname()
            if name:
                yield f"{name[0]}:{name[1]}" if isinstance(name, tuple) else os.fsdecode(name)
