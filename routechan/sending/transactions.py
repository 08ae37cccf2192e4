"""Sends that wait for a commit: ``send(..., on_commit=True)``.

Whose transactions these are is handed in with ``configure``: routechan knows no database. ``routechan_django`` hands in
those of Django.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from types import CodeType
from typing import Protocol

from ..encoding import Content
from ..outbox import Outbox, Sender, flush_sync
from ..telemetry.counters import counters


class Transactions(Protocol):
    """The transactions of a database. Lifetime: process. Thread-safe."""

    def wait_by_default(self) -> bool:
        """Whether sends outside of consumers wait for a commit where they do not say."""

    def after_commit(self, call: Callable[[], object]) -> bool:
        """Have ``call`` called, once, when the transaction around this is committed, and never if it is rolled back.

        Returns:
            Whether there is such a transaction; if not, ``call`` is forgotten.
        """

    def aafter_commit(self, call: Callable[[], object]) -> Awaitable[bool]:
        """``after_commit`` of ``call`` for async code, which a transaction of plain code may be around."""


class AsyncSender(Sender, Protocol):
    """What sends for code that waits for the outcome, too."""

    def apost(self, content: Content) -> Awaitable[None] | None:
        """Start to send ``content``.

        Returns:
            What is awaited for the outcome; None where it is sent.
        """


#: Lifetime: process.
_known: Transactions | None = None


def configure(transactions: Transactions | None) -> None:
    """Make these ``transactions`` the ones that sends wait for; None for none."""
    global _known
    _known = transactions


def wait_by_default() -> bool:
    """Whether sends outside of consumers wait for a commit where they do not say."""
    return _known is not None and _known.wait_by_default()


def _transactions() -> Transactions:
    if _known is None:
        raise RuntimeError(
            "send(on_commit=True), and no database is known whose transactions that means: those of Django are, once "
            "routechan_django is among INSTALLED_APPS and Django is set up; hand in others with "
            "routechan.sending.transactions.configure()"
        )
    return _known


class _Committed(Outbox):
    """What one send left for after a commit, which is then delivered as what a consumer sent. Lifetime: message."""

    __slots__ = ()

    def __str__(self) -> str:
        return "after a commit"


class AfterCommit:
    """One send, which waits for the transaction around it; without one it goes on at once. Lifetime: message.

    Args:
        sender: sends it.
        outbox: the outbox of the consumer that runs; None outside of one.
        code: the code that sent it, for errors.
        instruction: its instruction.
    """

    __slots__ = ("_code", "_instruction", "_outbox", "_sender")

    def __init__(self, sender: AsyncSender, outbox: Outbox | None, code: CodeType, instruction: int) -> None:
        self._sender = sender
        self._outbox = outbox
        self._code = code
        self._instruction = instruction

    def send(self, content: Content) -> None:
        """Send ``content``, from a thread that may wait."""
        if not (_transactions().after_commit(partial(self._committed, content)) or self._in_outbox(content)):
            counters.sent += 1
            self._sender.send(content)

    def post(self, content: Content) -> Awaitable[None] | None:
        """Start to send ``content``, from the event loop, whose own thread has no transaction, as a rule.

        Returns:
            What is awaited for the outcome; None where there is none yet, or no more.
        """
        if _transactions().after_commit(partial(self._committed, content)) or self._in_outbox(content):
            return None
        counters.sent += 1
        return self._sender.post(content)

    async def apost(self, content: Content) -> None:
        """Send ``content`` from async code."""
        if await _transactions().aafter_commit(partial(self._committed, content)) or self._in_outbox(content):
            return
        counters.sent += 1
        pending = self._sender.apost(content)
        if pending is not None:
            await pending

    def _in_outbox(self, content: Content) -> bool:
        if self._outbox is None or self._outbox.closed:
            return False
        self._outbox.entries.append((self._sender, content, self._code, self._instruction))
        return True

    def _committed(self, content: Content) -> None:
        """Behind the commit nobody is left who would want an error: it is logged, as that of a consumer's send is."""
        if not self._in_outbox(content):
            committed = _Committed()
            committed.entries.append((self._sender, content, self._code, self._instruction))
            counters.sent += 1
            flush_sync(committed)
