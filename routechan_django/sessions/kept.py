"""What a connection keeps of its channel session from one event to the next, in the process that runs its consumers."""

from __future__ import annotations

import logging
import pickle
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.db import router, transaction
from django.utils.module_loading import import_string

from routechan import Channel
from routechan.interfaces import CHANGED
from routechan.names import is_of_a_socket
from routechan.telemetry.log_fields import log_fields

from .. import conf

logger = logging.getLogger("routechan")

#: The key of ``set_expiry`` in a session's data.
_EXPIRY = "_session_expiry"


class Kept:
    """A channel session as it is stored. Lifetime: until it is stored anew, or said to have changed elsewhere.

    The data is kept encoded, as the engine would give it back: what a consumer changes without saving it is gone at the
    next event.

    Args:
        changes: How often it had been said that the session has changed, before it was read or written.
        found: Whether it is stored.
        key: Its key in the engine; None: not computed yet.
        data: The data.
        browser_key: The key of the browser's session the login came from, or None.
        codec: What encodes and decodes the data.
    """

    __slots__ = (
        "_codec",
        "_encoded",
        "browser_key",
        "changes",
        "checked_at",
        "found",
        "key",
        "login",
        "user",
        "version",
    )

    def __init__(
        self, changes: int, found: bool, key: str | None, data: dict[str, Any], browser_key: str | None, codec: Any
    ) -> None:
        self._codec = codec
        self._encoded = codec.dumps(data) if data else None
        self.changes = changes
        self.found = found
        self.key = key
        self.browser_key = browser_key
        #: The login in it: the user's primary key as text, the backend and the hash; None where nobody is logged in.
        self.login: tuple[str, Any, Any] | None = None
        if SESSION_KEY in data:
            self.login = data[SESSION_KEY], data.get(BACKEND_SESSION_KEY), data.get(HASH_SESSION_KEY)
        # What ``logins`` knows of the login: when it was read, and which version of the user; the user, if it was used.
        self.checked_at: float | None = None
        self.version: Any = None
        self.user: Any = None

    def data(self) -> dict[str, Any]:
        """The data, to be changed by whoever asks."""
        data: dict[str, Any] = {} if self._encoded is None else self._codec.loads(self._encoded)
        return data

    def take_user(self, before: Kept | None) -> None:
        """Take over what is known of the login from what was kept ``before``, if the login is the same."""
        if before is not None and (before.login, before.browser_key) == (self.login, self.browser_key):
            self.checked_at, self.version, self.user = before.checked_at, before.version, before.user


#: What a connection keeps that begins: nobody can have stored anything for it.
NOTHING = Kept(0, False, None, {}, None, None)


def keep(
    home: Any, changes: int, engine: type[SessionBase], session: Any, data: dict[str, Any], before: Kept | None = None
) -> Kept | None:
    """Keep ``data``, which is stored, for the next events of a connection; where that can't be, they read it.

    That is so in a transaction, whose end decides what is stored; with an expiry that a consumer has set; and for data
    that only the engine can encode.

    Args:
        home: The connection's own reply channel.
        changes: Its ``changes`` before the data was read or written.
        engine: Where the session is stored.
        session: The session.
        data: What is stored.
        before: What was kept before.

    Returns:
        What is kept now; None for nothing.
    """
    home.kept = None
    if _EXPIRY in data or in_transaction(engine):
        home.changed()
        return None
    codec: Any = pickle if engine.gives_types_back else import_string(settings.SESSION_SERIALIZER)()  # type: ignore[attr-defined]
    try:
        kept = Kept(changes, session.found, session.session_key, data, session.browser_key, codec)
    except Exception:  # an engine of the project's own may store what the serializer can't
        home.changed()
        return None
    kept.take_user(before)
    home.kept = kept
    return kept


def kept_for(home: Any, channel: str) -> Kept | None:
    """What the event of a connection that comes on ``channel`` may take for what is stored; None: read that.

    The last event reads it in any case: it is the only one, and should a message on the layer have been lost, what
    others have stored for the connection is found at least then.

    Args:
        home: The connection's own reply channel.
        channel: Its event's channel.
    """
    kept: Kept | None = home.kept
    if kept is None and channel == "websocket.connect" and not home.changes:
        kept = home.kept = NOTHING
    if kept is None or kept.changes != home.changes or channel == "websocket.disconnect":
        return None
    return kept


def in_transaction(engine: type[SessionBase]) -> bool:
    """Whether this thread has begun a transaction on the database of ``engine``."""
    database = _database(engine)
    return database is not None and transaction.get_connection(database).in_atomic_block


def _database(engine: type[SessionBase]) -> str | None:
    """The alias of the database that ``engine`` writes to, if it is one of Django's for a database or made of it."""
    model = getattr(engine, "get_model_class", None)
    return None if model is None else router.db_for_write(model())


def tell(reply_channel: str, engine: type[SessionBase]) -> None:
    """Tell the process that holds a socket that its session was changed here, once that is stored for good.

    It keeps nothing where the consumers are in workers.

    Args:
        reply_channel: The name of the socket's reply channel.
        engine: Where the session is stored.
    """
    aliases = conf.inline_aliases() if is_of_a_socket(reply_channel) else []
    if aliases:
        after_commit(_database(engine), partial(_tell, reply_channel, aliases))


def after_commit(database: str | None, action: Any) -> None:
    """Call ``action`` when this thread's transaction on ``database`` is committed; without one, now."""
    if database is None:
        action()
    else:
        transaction.on_commit(action, using=database)


def _tell(reply_channel: str, aliases: list[str]) -> None:
    try:
        for alias in aliases:
            Channel(reply_channel, alias).send({CHANGED: True}, immediately=True)
    except Exception as error:  # it is stored; whoever stores it need not fail for what another process remembers
        logger.warning(
            "The process of %s could not be told that its channel session has changed; it sees that when it reads the "
            "session again: %r",
            reply_channel,
            error,
            extra=log_fields(reply_channel, connection=reply_channel),
        )
