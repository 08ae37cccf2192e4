"""Cache backends in consumers: few objects, closed after each step that used them.

Django keeps them in context variables, which end with an event. So each event would make its own objects, and with
most backends a connection to the cache server.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections import defaultdict, deque
from contextlib import suppress
from typing import Any, ClassVar

from asgiref.sync import SyncToAsync
from django.core.cache import CacheHandler, caches
from django.core.cache.backends.base import BaseCache

from routechan.concurrency import running_loop
from routechan.outbox import Outbox, current

logger = logging.getLogger("routechan")

#: What each running step has used, by alias.
_used: dict[Outbox, dict[str, BaseCache]] = {}

#: How many steps there may be in ``_used`` before it is cleared of those that nobody has ended.
_MANY = 1000

#: How many backends of each alias wait for the next step of any stream on a thread.
_FREE = 8


class _Pool(threading.local):
    """The cache backends of each thread. Lifetime: thread.

    A plain stream has a thread as long as a socket. It gives its backends back between its steps, so that idle streams
    hold no connections to the cache server.
    """

    free: ClassVar[dict[str, deque[tuple[Any, BaseCache]]]] = defaultdict(lambda: deque(maxlen=_FREE))

    def __init__(self) -> None:
        self.backends: dict[str, BaseCache] = {}
        self.made_for: Any = None  # the setting
        self.loop: weakref.ref[asyncio.AbstractEventLoop] | None = None

    def get(self, alias: str, loop: asyncio.AbstractEventLoop | None) -> BaseCache:
        """The backend ``alias`` of this thread, which may hold on to the event ``loop`` that it was made on."""
        if self.made_for is not caches.settings or loop is not (self.loop and self.loop()):
            self.backends = {}
            self.made_for = caches.settings
            self.loop = None if loop is None else weakref.ref(loop)
        if alias not in self.backends:
            backend = self._free(alias) if loop is None else None
            self.backends[alias] = backend or CacheHandler.create_connection(caches, alias)
        return self.backends[alias]

    def _free(self, alias: str) -> BaseCache | None:
        with suppress(IndexError):
            while True:
                made_for, backend = self.free[alias].pop()
                if made_for is self.made_for:
                    return backend
        return None

    def give_back(self, alias: str) -> None:
        """Leave the backend ``alias`` to the next step of any thread."""
        backend = self.backends.pop(alias, None)
        if backend is not None:
            self.free[alias].append((self.made_for, backend))


_pool = _Pool()


def reuse_backends() -> None:
    """Have consumers find the backends of their thread in ``django.core.cache.caches``.

    Idempotent.
    """
    caches.create_connection = _create  # type: ignore[method-assign]


def _create(alias: str) -> BaseCache:
    """The backend for a context that has none yet; views and other code get a new one, as ever."""
    outbox = current.get()
    loop = running_loop()
    # With threads of its own for each context, the objects of the loop would be used on several at a time.
    if outbox is None or (loop is not None and SyncToAsync.thread_sensitive_context.get(None) is not None):
        backend: BaseCache = CacheHandler.create_connection(caches, alias)
        return backend
    if len(_used) >= _MANY:
        for each in [each for each in tuple(_used) if each.closed]:
            _used.pop(each, None)
    backend = _pool.get(alias, loop)
    if not outbox.closed:  # else a task that has outlived its consumer: the next step here that uses this one closes it
        _used.setdefault(outbox, {})[alias] = backend
    return backend


def _forget() -> None:
    """In a forked child: leave the parent's connections alone."""
    _used.clear()
    _pool.backends = {}
    _pool.free.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget)


def leave(outbox: Outbox) -> None:
    """Close what the step of ``outbox`` has used on this thread; call it if ``in_use()``."""
    used = _used.get(outbox, {})
    close(aleave(outbox))
    if not outbox.closed:
        for alias in used:
            _pool.give_back(alias)


def aleave(outbox: Outbox) -> list[BaseCache]:
    """The backends that the step of ``outbox`` has used and that are to be closed; call it if ``in_use()``.

    What goes on after the step, a generator, finds them anew.
    """
    used = _used.pop(outbox, {})
    if not outbox.closed:
        for alias in used:
            with suppress(AttributeError):
                del caches[alias]
    return [backend for backend in used.values() if type(backend).close is not BaseCache.close]


def in_use() -> bool:
    """Whether any running step has used a cache."""
    return bool(_used)


def close(backends: list[BaseCache]) -> None:
    """Close ``backends``, in a thread that uses them."""
    for backend in backends:
        try:
            backend.close()
        except Exception:  # it costs this connection, not the consumer
            logger.exception("The cache %r could not be closed", backend)
