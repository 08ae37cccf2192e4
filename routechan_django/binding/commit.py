"""Sends that wait until the change they tell of has been committed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import Atomic

from routechan.channel import Group
from routechan.encoding import Content
from routechan.exceptions import ChannelLayerUnavailable
from routechan.telemetry.counters import counters

logger = logging.getLogger("routechan")

#: How many tests take the transaction around them for none. Lifetime: process.
_tests = 0


class Announcement:
    """One message to groups about a change in a database, sent once. Lifetime: transaction.

    Args:
        what: The binding and the action, for the log.
        message: The message.
        group_names: The groups.
    """

    def __init__(self, what: str, message: Content, group_names: Iterable[str]) -> None:
        self._what = what
        self._message = message
        self._group_names = list(group_names)

    def send(self) -> None:
        """Send the message to each group; where the layer cannot be reached, they miss it, and the log says so."""
        while self._group_names:
            self._send_to(self._group_names.pop(0))

    def __call__(self) -> None:
        """Send behind the commit: what fails is logged, for the row is stored and other callbacks have to run."""
        while self._group_names:
            group = self._group_names.pop(0)
            try:
                self._send_to(group)
            except Exception:
                counters.lost += 1
                logger.exception("%s: the change is committed, and the message to group %r is lost", self._what, group)

    def _send_to(self, group: str) -> None:
        try:
            Group(group).send(self._message)
        except ChannelLayerUnavailable as error:  # the row is stored; a save must not fail because nobody is told
            missing, self._group_names = [group, *self._group_names], []
            counters.lost += len(missing)
            logger.error(
                "%s: the row is stored, and %s not told: %s",
                self._what,
                f"the group {group} is" if len(missing) == 1 else f"the groups {', '.join(missing)} are",
                error,
            )


def send_after_commit(announcement: Announcement, using: str | None) -> None:
    """Send ``announcement`` when the current transaction commits; at once where there is none.

    It is dropped with the transaction, or with the savepoint, that is rolled back.

    Args:
        announcement: The message.
        using: The alias of the database; None for the default one.
    """
    connection: Any = connections[using or DEFAULT_DB_ALIAS]
    if connection.in_atomic_block and not (_tests and _is_in_test_only(connection)):
        connection.on_commit(announcement)
        queued: Any = connection.run_on_commit[-1]
        connection.run_on_commit[-1] = (_Savepoints(connection), *queued[1:])
        if "run_and_clear_commit_hooks" not in vars(connection):
            run = functools.partial(_run_hooks, connection, connection.run_and_clear_commit_hooks)
            connection.run_and_clear_commit_hooks = run
    else:  # a transaction that is managed by hand has no callbacks
        announcement.send()


class _Savepoints(set[str]):
    """The savepoints with which an announcement is rolled back: all that there were when it was queued.

    Django notes those of ``atomic``, and looks here for the id of one that is rolled back. Those that
    ``transaction.savepoint()`` has made are known by the number at the end of their ids, which counts the savepoints of
    the connection (and begins anew with ``transaction.clean_savepoints()``, which nobody should call within a
    transaction). Lifetime: transaction.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection.savepoint_ids)
        self._last = connection.savepoint_state

    def __contains__(self, savepoint: object) -> bool:
        if super().__contains__(savepoint):
            return True
        number = str(savepoint).rpartition("_x")[2]
        return number.isdecimal() and int(number) <= self._last


def _run_hooks(connection: Any, run: Callable[[], None]) -> None:
    """Run what waits for the commit on ``connection``.

    Django gives up behind a callback that raises; the announcements queued behind it are sent all the same.
    """
    waiting = connection.run_on_commit  # from which Django takes one after the other
    try:
        run()
    finally:
        for each in tuple(waiting):
            if _is_announcement(each):
                each[1]()


def send_committed_in_test() -> None:
    """Send what waits for nothing but the transaction of a ``TestCase``, which never commits."""
    for connection in connections.all(initialized_only=True):
        if _is_in_test_only(connection):
            for waiting in tuple(connection.run_on_commit):
                if _is_announcement(waiting):
                    waiting[1]()


def _is_announcement(waiting: Any) -> bool:
    """Whether this entry of ``run_on_commit`` is one."""
    return isinstance(waiting[1], Announcement)


def _is_in_test_only(connection: Any) -> bool:
    """Whether no transaction is open but that of a ``TestCase``."""
    blocks = connection.atomic_blocks
    return not connection.needs_rollback and all(getattr(block, "_from_testcase", False) for block in blocks)


@contextmanager
def tests_transactions_ignored() -> Iterator[None]:
    """A ``with`` block, for tests, in which the transaction of a ``TestCase`` counts as none.

    So changes are told at once, or at the end of the test's own ``atomic`` blocks, as they are where nothing surrounds
    these.
    """
    global _tests
    leave = Atomic.__exit__
    for connection in connections.all(initialized_only=True):
        if not _tests and _is_in_test_only(connection):  # what a class made for all of its tests is no news to one
            connection.run_on_commit = [each for each in connection.run_on_commit if not _is_announcement(each)]

    def leave_and_send(self: Atomic, *error: Any) -> None:
        leave(self, *error)
        send_committed_in_test()

    _tests += 1
    Atomic.__exit__ = leave_and_send  # type: ignore[method-assign]
    try:
        yield
    finally:
        Atomic.__exit__ = leave  # type: ignore[method-assign]
        _tests -= 1
