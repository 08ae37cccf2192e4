"""``pending_message_store`` of 1.x: access to the outbox of the running consumer (PM-01 to PM-10)."""

from __future__ import annotations

from typing import Any

from routechan import outbox
from routechan.encoding import Content
from routechan.outbox import Outbox, Sender


class _Waiting:
    """What ``threadlocal`` was in 1.x: it has ``messages`` while sends wait, and deleting these ends that."""

    @property
    def messages(self) -> list[tuple[Sender, Content]]:
        return [(sender, content) for sender, content, *_ in _open_outbox().entries]

    @messages.deleter
    def messages(self) -> None:
        _open_outbox().closed = True


class PendingMessageStore:
    """The messages that wait until the running consumer ends. Lifetime: process; it holds nothing itself.

    ``prepare`` and ``send_and_flush`` open and flush an outbox by hand, as tests of 1.x did; no signal calls them.
    """

    #: The messages of this thread and task, as ``threadlocal.messages``.
    threadlocal = _Waiting()

    @property
    def active(self) -> bool:
        """Whether sends wait, in this thread and task (PM-02)."""
        return outbox.open_outbox() is not None

    @property
    def retry_time(self) -> float:
        """The seconds for which sending to a full channel is tried again."""
        return outbox.FULL_RETRY_TIME

    @retry_time.setter
    def retry_time(self, seconds: float) -> None:
        outbox.FULL_RETRY_TIME = seconds

    @property
    def retry_interval(self) -> float:
        """The seconds between two tries."""
        return outbox.FULL_RETRY_INTERVAL

    @retry_interval.setter
    def retry_interval(self, seconds: float) -> None:
        outbox.FULL_RETRY_INTERVAL = seconds

    def prepare(self, **kwargs: Any) -> None:
        """Make sends wait from now on.

        Args:
            **kwargs: Unused, as in 1.x.
        """
        outbox.current.set(Outbox())

    def append(self, sender: Sender, message: Content) -> None:
        """Add a send of ``message`` by ``sender``, a ``Channel`` or ``Group``, at the end (PM-03)."""
        _open_outbox().add(sender, message)

    def send_and_flush(self, **kwargs: Any) -> None:
        """Deliver the waiting messages in order; later sends are immediate (PM-04, PM-09).

        Args:
            **kwargs: Unused, as in 1.x.
        """
        flushed = _open_outbox()
        flushed.closed = True
        outbox.flush_sync(flushed)


def _open_outbox() -> Outbox:
    found = outbox.open_outbox()
    if found is None:
        raise AttributeError("no consumer runs here, so nothing waits; call prepare() first")
    return found


pending_message_store = PendingMessageStore()
