"""Session stores of connections and browsers, and saving a session after a consumer."""

from __future__ import annotations

import copy
import functools
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db, file, signed_cookies
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.db.models.signals import post_delete, pre_delete
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

from .decorators import Call
from .kept import Kept, keep, tell

#: Seconds after its last save for which the session of an open connection is kept: longer than a socket stays open.
OPEN_AGE = 365 * 24 * 3600

#: The same of one that is saved when its connection may be over, where no disconnect might follow that removes it.
ENDED_AGE = 3600

#: Sets keys and contents of channel sessions apart from everything else that is made with ``SECRET_KEY``.
_SALT = "routechan_django.sessions.channel"

#: What the engine is given: the data of a channel session, and the key of the browser's session its login came from.
_DATA, _BROWSER = "routechan_session", "routechan_browser"


class ChannelSession(SessionBase):
    """The session of a connection, kept in any session engine, where no browser can reach it.

    Whoever knows the name of a reply channel can't tell the key, which takes ``SECRET_KEY`` to make. Whoever has the
    key gets nothing for it in a session cookie: the data lies one level deeper than in a browser's session, so that
    there is no login in what ``SessionMiddleware`` loads; and as far as the engine allows, it is signed with another
    salt and cached under another prefix, so that nothing is loaded at all.

    It is stored when it is first saved, and removed when the connection ends. Its key stays the same all the time,
    because no client ever knows it: through a login, and through ``flush()``. It is read when it is first used.
    Lifetime: message.

    The connection keeps what is read and written, and a later event's session begins with that, without asking the
    engine. Where a session is written that is not its connection's own, the process of the connection is told.

    Args:
        reply_channel: The name of the connection's reply channel.
        ended: Whether the connection may be over before this is saved.
        home: The connection's own reply channel, where the session is one of its events'.
        kept: What it keeps of the session.
        keeps: Whether it is to keep what this session reads and writes; a stream runs beside events that do.

    Raises:
        ValueError: When it is used, if the engine keeps sessions in signed cookies.
    """

    def __init__(
        self, reply_channel: str, *, ended: bool = False, home: Any = None, kept: Kept | None = None, keeps: bool = True
    ) -> None:
        # Not as Django's: that looks up a serializer, which only the engine needs, and this runs for each event.
        self.accessed = self.modified = False
        self._reply_channel = reply_channel
        self._home = home
        self._keeps = home is not None and keeps
        self.kept = kept
        self.ended = ended
        self.in_use = False  # a decorator has it, and will save it
        self.is_fresh = False  # its engine was asked
        #: The primary key, as text, of who was logged in when this was read, or None.
        self.user_before: str | None = None
        self._key = self._browser_key = self._found = None
        if kept is not None:
            self._key, self._browser_key, self._found = kept.key, kept.browser_key, kept.found
            self.user_before = kept.login and kept.login[0]

    @functools.cached_property
    def serializer(self) -> Any:
        """The class that ``encode`` and ``decode`` use."""
        return import_string(settings.SESSION_SERIALIZER)

    @functools.cached_property
    def _engine(self) -> Any:
        return _engine()

    @functools.cached_property
    def _keys(self) -> list[str]:
        return _keys(self._reply_channel)

    # Django's sessions have both names.

    @property
    def session_key(self) -> str:
        """Its key in the engine."""
        if self._key is None:
            self._key = self._keys[0]
        return self._key

    @property
    def _session_key(self) -> str:
        return self.session_key

    @_session_key.setter
    def _session_key(self, key: str | None) -> None:
        self._key = key

    @property
    def was_read(self) -> bool:
        """Whether it has been used."""
        return "_session_cache" in vars(self)

    @property
    def found(self) -> bool:
        """Whether it is stored."""
        if self._found is None:
            self.keys()  # reads it
        return bool(self._found)

    @property
    def browser_key(self) -> str | None:
        """The key of the browser's session that the login came from; None where it came from elsewhere."""
        if self._found is None:
            self.keys()
        return self._browser_key

    @browser_key.setter
    def browser_key(self, key: str | None) -> None:
        self._browser_key = key

    @property
    def user_key(self) -> str | None:
        """The primary key, as text, of who is logged in; None for nobody."""
        if self.kept is not None and not self.was_read:
            return self.user_before
        key: str | None = self.get(SESSION_KEY)
        return key

    def read_again(self) -> None:
        """Read what is stored, which may have changed since it was kept; nothing has been changed here."""
        self.kept = None
        vars(self).pop("_session_cache", None)
        self.keys()

    def load(self) -> dict[str, Any]:
        """The stored data; empty where there is none."""
        if self.kept is not None:
            return self.kept.data()
        changes = self._home.changes if self._keeps else 0
        self.is_fresh = True
        data = self._read()
        if not self.was_read:
            self.user_before = data.get(SESSION_KEY)
        if self._keeps:
            self.kept = keep(self._home, changes, self._engine, self, data)
        return data

    def _read(self) -> dict[str, Any]:
        for key in self._keys:
            stored = self._engine(key).load()
            if _DATA in stored:
                self._found = True
                self._key = key
                self._browser_key = stored.get(_BROWSER)
                data: dict[str, Any] = stored[_DATA]
                return data
        self._found = False
        return {}

    def save(self, must_create: bool = False) -> None:
        """Store the data.

        Args:
            must_create: Refuse to change a session that is stored.

        Raises:
            CreateError: With ``must_create``, a session is stored already.
            UpdateError: The session was stored when it was loaded, and is not any more.
        """
        changes = self._home.changes if self._keeps else 0
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]
        if self.found and self._session_key != self._keys[0]:  # under the key of a former secret
            self.remove()
            self._session_key = self._keys[0]
        if must_create or self.found:
            self._write(data, must_create=must_create)
        else:
            try:
                self._write(data, must_create=True)
            except CreateError:  # another event of the connection has stored it meanwhile, or it has expired
                browser_key = self._browser_key
                data = self._session_cache = {**self._read(), **data}
                self._browser_key = browser_key or self._browser_key
                self._write(data, must_create=False)
        self._found = True
        if self._keeps:
            self.kept = keep(self._home, changes, self._engine, self, data, self.kept)
        else:
            self._changed()

    def _write(self, data: dict[str, Any], *, must_create: bool) -> None:
        store = self._engine(self._session_key)
        store.clear()  # else it would be loaded
        store[_DATA] = data
        if self._browser_key is not None:
            store[_BROWSER] = self._browser_key
        store.set_expiry(self.get_expiry_date())
        try:
            store.save(must_create=must_create)
        except UpdateError as error:
            self._changed()
            raise UpdateError(
                "this channel session was removed while its consumer ran: its connection is over, or it was flushed "
                "elsewhere; what was changed in it is lost"
            ) from error

    def get_session_cookie_age(self) -> int:
        """Seconds after a save until the session expires, unless ``set_expiry`` says otherwise."""
        return ENDED_AGE if self.ended else OPEN_AGE

    def exists(self, session_key: str) -> bool:
        """Whether a session is stored under ``session_key``."""
        return bool(self._engine(session_key).exists(session_key))

    def create(self) -> None:
        """Store the session as an empty one.

        Raises:
            CreateError: It is stored already.
        """
        self.clear()
        self.save(must_create=True)

    def delete(self, session_key: str | None = None) -> None:
        """Remove what is stored under ``session_key``, by default this session."""
        self.remove(session_key)
        self._changed()

    def remove(self, session_key: str | None = None) -> None:
        """As ``delete`` of ``session_key``, where nobody has to know: the connection is over, or it is stored anew."""
        for key in (session_key,) if session_key is not None else self._keys:
            store: Any = self._engine(key)
            # Django reads a row before it removes it. What is not stored had better be read: that locks nothing.
            if store.rows_are_djangos and self._found and key == self._key and not _is_watched(store.model):
                store.model(session_key=key).delete()
            else:
                store.delete(key)
        self._found = False

    def _changed(self) -> None:
        """What is stored has changed, and the connection does not keep it."""
        self.kept = None
        if self._home is not None:
            self._home.changed()
        else:
            tell(self._reply_channel, self._engine)

    def is_empty(self) -> bool:
        """Whether nothing is stored, and there is nothing to store."""
        return not self.found and not getattr(self, "_session_cache", None)

    def flush(self) -> None:
        """Remove the session; what is put into it afterwards is stored under the same key."""
        self.clear()
        self.delete()
        self.browser_key = None

    async def aflush(self) -> None:
        """As ``flush``."""
        await sync_to_async(self.flush)()

    def cycle_key(self) -> None:
        """Keep the key: no client knows it, so it needs no replacement (PL-10)."""

    async def acycle_key(self) -> None:
        """As ``cycle_key``."""


def browser_store(key: str | None) -> SessionBase:
    """The store of the browser's session ``key``, in ``SESSION_ENGINE``; nothing is read yet."""
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key=key)
    return store


def _keys(reply_channel: str) -> list[str]:
    """The key of a connection's session, as long as the table has room for; then those of former secrets.

    Sockets stay open in a relaying server while workers are started anew with another ``SECRET_KEY``.
    """
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    # Every engine takes lower-case letters and digits. 148 bits of the HMAC are left.
    return [
        "chn" + salted_hmac(_SALT, reply_channel, secret=secret, algorithm="sha256").hexdigest()[:37]
        for secret in secrets
    ]


def _engine() -> type[SessionBase]:
    engine: type[SessionBase] = import_module(
        getattr(settings, "CHANNEL_SESSION_ENGINE", settings.SESSION_ENGINE)
    ).SessionStore
    if issubclass(engine, signed_cookies.SessionStore):
        raise ValueError(
            "a channel session cannot be kept in signed cookies, for a socket sends no cookies back: set "
            "CHANNEL_SESSION_ENGINE, or SESSION_ENGINE, to another engine, as 'django.contrib.sessions.backends.db'"
        )
    return _set_apart(engine)


@functools.cache
def _set_apart(engine: type[SessionBase]) -> type[SessionBase]:
    """The ``engine``, with what it stores out of reach of its own ``SessionStore`` where that can be had."""
    apart: dict[str, Any] = {"__module__": engine.__module__, "cache_key_prefix": _SALT}
    #: What goes through a cache comes back with its types; the rest is what ``SESSION_SERIALIZER`` makes of it.
    apart["gives_types_back"] = hasattr(engine, "cache_key_prefix")
    apart["rows_are_djangos"] = engine is db.SessionStore
    # ``clearsessions`` has to read the expiry in a file, and takes one that it can't read for a browser's.
    if not issubclass(engine, file.SessionStore):
        apart["key_salt"] = _SALT
    return type(engine.__name__, (engine,), apart)


def _is_watched(model: Any) -> bool:
    """Whether a receiver is told of each removed row, and may look at what was in it."""
    return pre_delete.has_listeners(model) or post_delete.has_listeners(model)


#: The attribute in which the session of a stream keeps a copy of the stored data, and the browser's key in it.
_STORED = "_routechan_stored"


class SessionSaver:
    """Saves a session after a consumer, if the consumer has changed it. Lifetime: message.

    The session is read at once for an async consumer. A stream ends long after it has read its session, and later
    events have saved theirs meanwhile, so only the keys that the stream itself has changed are saved.

    Args:
        session: The session.
        call: The call of the consumer.
    """

    def __init__(self, session: SessionBase, call: Call) -> None:
        self._session = session
        self._streams = call.streams
        if call.streams or (call.is_async and getattr(session, "kept", None) is None):
            session.keys()  # reads it
        if call.streams and _STORED not in vars(session):
            vars(session)[_STORED] = copy.deepcopy(dict(session.items())), _browser_key(session)

    def save(self) -> None:
        """Save the session if it was changed.

        A decorator further out finds nothing left to save.
        """
        session = self._session
        merges = self._streams and session.modified and not session.is_empty() and session.session_key is not None
        if not merges or self._merge():
            save_if_changed(session)

    def _merge(self) -> bool:
        """Merge the stream's changes into the stored session.

        False: it does not exist any more, say after a logout.
        """
        session: Any = self._session
        before, browser_before = vars(session)[_STORED]
        mine, browser_mine, was_stored = dict(session.items()), _browser_key(session), getattr(session, "found", True)
        merged = session.load()
        if session.session_key is None or (was_stored and not getattr(session, "found", True)):
            return False
        for name in before.keys() - mine.keys():
            merged.pop(name, None)
        merged.update({name: mine[name] for name in mine if name not in before or before[name] != mine[name]})
        session.clear()
        session.update(merged)
        if browser_mine != browser_before:
            session.browser_key = browser_mine
        return True


def save_if_changed(session: SessionBase) -> None:
    """Save a ``session`` that was changed, unless it is empty and not stored: after a logout (SE-10)."""
    if session.modified and not session.is_empty():
        session.save()
        session.modified = False


def _browser_key(session: SessionBase) -> str | None:
    return getattr(session, "browser_key", None)
