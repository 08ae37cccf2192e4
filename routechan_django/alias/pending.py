"""``pending_message_store`` of 1.x, as a view of the outbox that dispatch holds (PM-01 to PM-10)."""

from __future__ import annotations

from typing import Any

from routechan import delivery, outbox
from routechan.encoding import Content
from routechan.outbox import Outbox, Sender


class PendingMessageStore:
    """What waits until the running consumer ends. Lifetime: process; it holds nothing itself.

    ``prepare`` and ``send_and_flush`` open and flush an outbox by hand, as tests of 1.x did; no signal is
    connected to them.
    """

    @property
    def active(self) -> bool:
        """Whether sends wait here, in this thread and task (PM-02)."""
        return outbox.open_outbox() is not None

    @property
    def retry_time(self) -> float:
        """Seconds for which a full channel is tried again."""
        return delivery.FULL_RETRY_TIME

    @retry_time.setter
    def retry_time(self, seconds: float) -> None:
        delivery.FULL_RETRY_TIME = seconds

    @property
    def retry_interval(self) -> float:
        """Seconds between these tries."""
        return delivery.FULL_RETRY_INTERVAL

    @retry_interval.setter
    def retry_interval(self, seconds: float) -> None:
        delivery.FULL_RETRY_INTERVAL = seconds

    def prepare(self, **kwargs: Any) -> None:
        """Have sends wait from now on."""
        outbox.current.set(Outbox())

    def append(self, sender: Sender, message: Content) -> None:
        """Add a send at the end (PM-03)."""
        self._outbox().add(sender, message)

    def send_and_flush(self, **kwargs: Any) -> None:
        """Deliver what waits, in order; sends are immediate from then on (PM-04, PM-09)."""
        flushed = self._outbox()
        flushed.closed = True
        delivery.flush_sync(flushed)

    def _outbox(self) -> Outbox:
        found = outbox.open_outbox()
        if found is None:
            raise AttributeError("no consumer runs here, so nothing waits; call prepare() first")
        return found


pending_message_store = PendingMessageStore()
