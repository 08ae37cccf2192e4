"""The mailbox: messages that other processes send to the queues of this one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ...encoding import LazyContent, Serializer
from ...exceptions import ChannelFull
from ..envelope import DUE, FLUSH, GROUP, JOIN, LEAVE, MESSAGE, Envelope
from ..store import Store
from .commands.groups import Groups
from .commands.script import Context
from .driver import Driver
from .reader import Reader, ReaderTools
from .schema import process_queue

logger = logging.getLogger("routechan")

#: How many messages a process takes from its mailbox at once.
BATCH = 500


class Mailbox:
    """Reads the queues of this process, and keeps its store as they say. Lifetime: layer, in one process. Thread-safe.

    Args:
        store: the channels and groups of this process.
        driver: performs what follows from a changed membership.
        groups: makes operations for that.
        serializer: bytes to content.
        context: reads what was popped.
        readers: what readers are made with.
        look_at: called with the time when something is due that another process sends later.
    """

    def __init__(
        self,
        store: Store,
        driver: Driver,
        groups: Groups,
        serializer: Serializer,
        context: Context,
        readers: ReaderTools,
        look_at: Callable[[float], object],
    ) -> None:
        self._store = store
        self._driver = driver
        self._groups = groups
        self._serializer = serializer
        self._context = context
        self._tools = readers
        self._look_at = look_at
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        #: The queues that are read.
        self.served: set[str] = set()

    def serve(self, queue: str) -> None:
        """Read ``queue``, and the queue that is for the process as a whole."""
        with self._lock:
            if self._reader is None:
                process = self._context.process
                self._reader = Reader(self._tools, "mailbox", process, lambda queue: BATCH, self._arrived)
                self._reader.want(process_queue(process))
            self._reader.want(queue)
            self.served.add(queue)

    def forget_served(self) -> None:
        """Forget which queues are served, so that the next one is served anew."""
        self.served.clear()

    def readers(self) -> list[Reader]:
        """The reader if there is one, for those who stop it."""
        return [self._reader] if self._reader is not None else []

    def _arrived(self, queue: str, messages: list[bytes]) -> None:
        for data in messages:
            envelope = self._context.live(queue, data)
            if envelope is not None:
                try:
                    self._take(queue, envelope)
                except (ValueError, ChannelFull) as error:
                    self._context.losses.add(envelope.name, error)
                except Exception:  # an error in one message must not stop the next ones
                    logger.exception("A message to %s is lost", envelope.name)

    def _take(self, queue: str, envelope: Envelope) -> None:
        kind, name, body, headers, expires, _ = envelope
        if kind == MESSAGE:
            deliver = self._store.attached.get(queue)
            if deliver is not None:
                deliver((name,), self._serializer.decode(body))
            else:
                self._store.keep([envelope])
        elif kind == GROUP:
            self._store.deliver(name, LazyContent(self._serializer, data=body), headers, queue, expires)
        elif kind == JOIN:
            channel = body.decode()
            if self._store.add(name, channel):
                # The last member may just have left, and so removed the entry that the other process wrote.
                self._driver.start(self._groups.rejoin([(name, channel)]))
        elif kind == LEAVE:
            if self._store.discard(name, body.decode()):
                self._driver.start(self._groups.discard_queue([name], queue))
        elif kind == FLUSH:
            self._store.flush()
        elif kind == DUE:
            self._look_at(float(body))
