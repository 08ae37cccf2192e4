"""Heartbeats: tell relaying servers which of their events have reached this process, as long as they are here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..exceptions import ChannelFull, ChannelLayerUnavailable
from ..layers.base import SyncChannelLayer
from ..relay.protocol import HEARTBEAT_INTERVAL, DeliveryTag, heartbeat, tag_of

logger = logging.getLogger("routechan")


class Heartbeat:
    """A thread that tells of the events that are here. Lifetime: that of whoever consumes them, until ``stop``.

    The thread is one of its own, so that a consumer that blocks the event loop is not taken for dead. Short events cost
    nothing: it looks once in an interval, and tells of those that it has seen the time before.

    Args:
        layer: the 1.x face of the servers' layer.
        here: returns the headers of all messages that were taken off their channels and are not done. Called on the
            thread.
        streams: returns this worker's control channel, and the ``reply_to`` of each server that it streams for. Called
            on the thread.
    """

    def __init__(
        self,
        layer: SyncChannelLayer,
        here: Callable[[], Iterable[Mapping[str, Any]]],
        streams: Callable[[], tuple[str | None, set[str]]] = lambda: (None, set()),
    ) -> None:
        self._layer = layer
        self._here = here
        self._streams = streams
        self._seen: set[DeliveryTag] = set()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="routechan-heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread at its next turn."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(HEARTBEAT_INTERVAL):
            try:
                control, streaming_for = self._streams()
                due = self._due()
                for reply_to in due.keys() | streaming_for:
                    self._send(reply_to, due.get(reply_to, []), control if reply_to in streaming_for else None)
            except Exception:  # it has to go on
                logger.exception("Sending heartbeats failed")

    def _due(self) -> dict[str, list[int]]:
        """The channel of each server -> the numbers of its events to tell of."""
        seen, self._seen = self._seen, {tag for tag in map(tag_of, self._here()) if tag is not None}
        found: dict[str, list[int]] = {}
        for tag in self._seen & seen:
            found.setdefault(tag.reply_to, []).append(tag.number)
        return found

    def _send(self, reply_to: str, numbers: list[int], streams_at: str | None) -> None:
        try:
            self._layer.send(reply_to, heartbeat(numbers, streams_at))
        except (ChannelFull, ChannelLayerUnavailable) as error:
            logger.debug("A heartbeat could not be sent: %s", error)
