"""Session stores that belong to a connection, and saving a session after a consumer."""

from __future__ import annotations

import copy
import functools
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase

from .around import Call


class DerivedSession(SessionBase):
    """A store whose key is derived from a name, in any session engine. Lifetime: message.

    Engines forget a key they find nothing under; here it stays, and ``found`` says whether there was
    anything (SE-04).
    """

    found = False

    def __init__(self, session_key: str) -> None:
        super().__init__(session_key)
        self._derived_key = session_key

    def load(self) -> dict[str, Any]:
        data = super().load()
        self.found = self.session_key == self._derived_key
        self._session_key = self._derived_key
        return data


class ChannelSession(DerivedSession):
    """The session of a connection, which does not leave its key: under any other no later event would find it.

    So a login in a consumer keeps the key (PL-10), and what is stored after a logout is stored under it.
    """

    def create(self) -> None:
        self._session_key = self._derived_key
        self.save(must_create=True)
        self.modified = True

    def cycle_key(self) -> None:
        """The key is known to no client, so there is none to replace."""

    async def acreate(self) -> None:
        self._session_key = self._derived_key
        await self.asave(must_create=True)
        self.modified = True

    async def acycle_key(self) -> None:
        """As ``cycle_key``."""


def derived_store(key: str) -> DerivedSession:
    """A store under ``key``, in the engine for channel sessions; nothing is read yet."""
    store: DerivedSession = _class_of(DerivedSession, _engine())(key)
    return store


def channel_store(key: str) -> ChannelSession:
    """As ``derived_store``, for use as the session of a connection."""
    store: ChannelSession = _class_of(ChannelSession, _engine())(key)
    return store


def browser_store(key: str | None) -> SessionBase:
    """The store of the browser's session ``key``; nothing is read yet."""
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key=key)
    return store


def _engine() -> type[SessionBase]:
    engine = import_module(getattr(settings, "CHANNEL_SESSION_ENGINE", settings.SESSION_ENGINE))
    if engine is signed_cookies:
        raise ValueError(
            "a channel session cannot be kept in signed cookies, for a socket sends no cookies back: set "
            "CHANNEL_SESSION_ENGINE, or SESSION_ENGINE, to another engine, as 'django.contrib.sessions.backends.db'"
        )
    store: type[SessionBase] = engine.SessionStore
    return store


@functools.cache
def _class_of(kind: type[Any], engine: type[SessionBase]) -> Any:
    return type(engine.__name__, (kind, engine), {"__doc__": kind.__doc__, "__module__": engine.__module__})


#: Where a session of a stream keeps a copy of what is stored.
_STORED = "_routechan_stored"


class Kept:
    """A session to be saved after a consumer, if that has changed it. Lifetime: message.

    Async consumers are given it read. A stream ends long after it has read its session, and later
    events have saved theirs meanwhile: of what it holds, only what it has changed itself is saved.
    """

    def __init__(self, session: SessionBase, call: Call) -> None:
        self._session = session
        self._streams = call.streams
        if call.is_async or call.streams:
            session.keys()  # reads it
        if call.streams and _STORED not in vars(session):
            vars(session)[_STORED] = copy.deepcopy(dict(session.items()))

    def save(self) -> None:
        """Save once: a decorator around this one finds nothing left to save."""
        session = self._session
        if not session.modified or session.is_empty():  # empty without a key: after a logout (SE-10)
            return
        if self._streams and session.session_key is not None and not self._merge():
            return
        session.save()
        session.modified = False

    def _merge(self) -> bool:
        """Take over what others have saved; False if there is nothing any more, after a logout for example."""
        session = self._session
        mine, before = dict(session.items()), vars(session)[_STORED]
        merged = session.load()
        if session.session_key is None or not getattr(session, "found", True):
            return False
        for name in before.keys() - mine.keys():
            merged.pop(name, None)
        merged.update({name: mine[name] for name in mine if name not in before or before[name] != mine[name]})
        session.clear()
        session.update(merged)
        return True
