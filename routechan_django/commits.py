"""Calls that wait until a transaction of Django has been committed, and the sends that are such calls."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import Atomic

from . import conf

#: How many tests take the transaction around them for none. Lifetime: process.
_tests = 0


class _Waiting:
    """What is called behind a commit, once. Lifetime: transaction."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call: Callable[[], object] | None = call

    def __call__(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


def after_commit(call: Callable[[], object], using: str | None = None) -> bool:
    """Have ``call`` called when the current transaction commits, and never if that, or the savepoint, is rolled back.

    Args:
        call: Called once; it raises nothing.
        using: The alias of the database; None for the default one.

    Returns:
        Whether there is a transaction. One that is managed by hand has no callbacks, and counts as none.
    """
    connection: Any = connections[using or DEFAULT_DB_ALIAS]
    if not connection.in_atomic_block or (_tests and _is_in_test_only(connection)):
        return False
    connection.on_commit(_Waiting(call))
    queued: Any = connection.run_on_commit[-1]
    connection.run_on_commit[-1] = (_Savepoints(connection), *queued[1:])
    if "run_and_clear_commit_hooks" not in vars(connection):
        run = functools.partial(_run_hooks, connection, connection.run_and_clear_commit_hooks)
        connection.run_and_clear_commit_hooks = run
    return True


class DjangoTransactions:
    """The transactions of the default database, for ``send(..., on_commit=True)``. Lifetime: process."""

    def wait_by_default(self) -> bool:
        """Whether sends outside of consumers wait for a commit where they do not say: the setting decides."""
        return conf.sends_on_commit()

    def after_commit(self, call: Callable[[], object]) -> bool:
        """``after_commit`` of ``call`` for the transaction of this thread."""
        return after_commit(call)

    async def aafter_commit(self, call: Callable[[], object]) -> bool:
        """``after_commit`` of ``call`` for the transaction of the plain code that called this, or of a test."""
        return await sync_to_async(after_commit)(call)


class _Savepoints(set[str]):
    """The savepoints with which a call is rolled back: all that there were when it was queued.

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

    Django gives up behind a callback that raises; what is ours behind it is called all the same.
    """
    waiting = connection.run_on_commit  # from which Django takes one after the other
    try:
        run()
    finally:
        for each in tuple(waiting):
            if _is_ours(each):
                each[1]()


def call_committed_in_test() -> None:
    """Call what waits for nothing but the transaction of a ``TestCase``, which never commits."""
    for connection in connections.all(initialized_only=True):
        if _is_in_test_only(connection):
            for waiting in tuple(connection.run_on_commit):
                if _is_ours(waiting):
                    waiting[1]()


def _is_ours(waiting: Any) -> bool:
    """Whether this entry of ``run_on_commit`` was queued here."""
    return isinstance(waiting[1], _Waiting)


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
            connection.run_on_commit = [each for each in connection.run_on_commit if not _is_ours(each)]

    def leave_and_call(self: Atomic, *error: Any) -> None:
        leave(self, *error)
        call_committed_in_test()

    _tests += 1
    Atomic.__exit__ = leave_and_call  # type: ignore[method-assign]
    try:
        yield
    finally:
        Atomic.__exit__ = leave  # type: ignore[method-assign]
        _tests -= 1
