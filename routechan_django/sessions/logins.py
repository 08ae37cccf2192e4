"""The logins of open sockets: which user and which browser's session each has, and what happens when that ends.

A socket with a login is in two groups, that of its user and that of the browser's session the login came from. What
ends a login in a process with a channel layer reaches the sockets through them. For the rest a socket's login is looked
up again when it has an event, at most every few seconds.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.db.models.signals import post_delete, post_save

from routechan import Group, Message
from routechan.interfaces import CHANGED
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.telemetry.log_fields import message_log_fields

from .. import conf
from .kept import Kept, after_commit
from .stores import ChannelSession, browser_store

logger = logging.getLogger("routechan")

#: The close code of a socket whose login has ended: a policy violation, by RFC 6455, 7.4.1.
CLOSE_CODE = 1008

#: Seconds after which the sockets of a session that was logged out are closed once more. Django tells of a logout
#: before the session is gone: a page that connects again at once is still let in.
CLOSE_AGAIN = 2.0

#: How many logins a process remembers to have looked up.
REMEMBERED = 10_000


def user_group(user: Any, alias: str = DEFAULT_CHANNEL_LAYER) -> Group:
    """The group of a user's sockets.

    Args:
        user: A user, or the primary key of one.
        alias: The alias of the layer.

    Raises:
        ValueError: It is nobody: anonymous, not saved, or deleted.
    """
    return Group(user_group_name(user), alias)


def user_group_name(user: Any) -> str:
    """The name of ``user_group``, with the same argument ``user`` and the same errors."""
    return _user_group_name(_key_of_user(user))


def session_group(session: Any, alias: str = DEFAULT_CHANNEL_LAYER) -> Group:
    """The group of the sockets that were opened with a browser's session in which somebody was logged in.

    Args:
        session: A browser's session, or the key of one.
        alias: The alias of the layer.

    Raises:
        ValueError: The session has no key, or is that of a connection.
    """
    if isinstance(session, ChannelSession):
        raise ValueError("this is the channel session of one socket; give the session of the browser that opened it")
    key = session.session_key if isinstance(session, SessionBase) else session
    if not isinstance(key, str) or not key:
        raise ValueError(f"expected a browser's session or its key, not {session!r:.100}, which has no key")
    return Group(_session_group_name(key), alias)


def _key_of_user(user: Any) -> str:
    """What a session holds of a user."""
    meta = getattr(user, "_meta", None)
    key = user if meta is None else None if user.pk is None else meta.pk.value_to_string(user)
    if key is None or key == "" or hasattr(key, "is_anonymous"):
        raise ValueError(
            f"expected a user or the primary key of one, not {user!r:.100}, who is nobody; of a user that is to be "
            "deleted, keep the key, or ask before"
        )
    return str(key)


# The names are hashes: names of groups are seen in logs and metrics, where no key of a session may be, and a layer does
# not take every character that a key may have.


def _user_group_name(key: str) -> str:
    return "routechan.user." + hashlib.sha256(key.encode()).hexdigest()[:40]


def _session_group_name(key: str) -> str:
    return "routechan.session." + hashlib.sha256(key.encode()).hexdigest()[:40]


# A socket's groups


def user_in(session: SessionBase) -> str | None:
    """The primary key, as text, of the user who is logged in in ``session``; None where nobody is."""
    user: str | None = session.user_key if isinstance(session, ChannelSession) else session.get(SESSION_KEY)
    return user


def opened(message: Message, session: SessionBase) -> None:
    """Note that a socket was opened with the login in a browser's session.

    Args:
        message: Its ``websocket.connect``.
        session: The browser's session.
    """
    user = user_in(session)
    if user is not None and session.session_key is not None:
        _change_groups("group_add", message, _session_group_name(session.session_key), _user_group_name(user))


def changed(message: Message, before: str | None, after: str | None) -> None:
    """Note that another user is logged in on a socket than before; an event of it has changed that.

    Args:
        message: The event.
        before: The primary key of the user before; None for nobody.
        after: That of the user now.
    """
    if before is not None:
        _change_groups("group_discard", message, _user_group_name(before))
    if after is not None:
        _change_groups("group_add", message, _user_group_name(after))


def _change_groups(operation: str, message: Message, *names: str) -> None:
    reply_channel: Any = message.reply_channel
    if reply_channel is None:
        return
    try:
        for name in names:
            getattr(reply_channel.channel_layer, operation)(name, reply_channel.name)
    except Exception as error:
        # The consumer runs all the same. Without its groups the socket is not closed at once, but at its next event.
        logger.warning(
            "A socket will not be told at once when its login ends, because its groups could not be changed: %r",
            error,
            extra=message_log_fields(message),
        )


# Looking again


class LoginChecks:
    """When the login of each browser's session was last found to be there. Lifetime: process. Thread-safe.

    Args:
        clock: Seconds, on a clock that only goes forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._found_at: dict[tuple[str, str], float] = {}
        self._versions: dict[str, int] = {}  # user -> how often this process has saved it
        self._forgotten = 0

    def holds(self, session: SessionBase) -> bool:
        """Whether the login in a channel session still stands.

        One that came from a browser's session ends with that: when it is logged out, deleted, or has expired, or when
        somebody else logs in there. Asked again within ``LOGIN_CHECK_INTERVAL``, the answer may be from before; so may
        what a connection keeps of a session with a login, which is read again after that time.

        Args:
            session: The channel session.
        """
        if isinstance(session, ChannelSession):
            kept = session.kept
            if kept is not None and not (session.is_fresh or session.modified or self.is_recent(kept)):
                session.read_again()
            self._note(session)
        user = user_in(session)
        key: str | None = None if user is None else getattr(session, "browser_key", None)
        if key is None or user is None or self._was_found(key, user):
            return True
        browser = browser_store(key)
        if browser.get(SESSION_KEY) != user or browser.get(BACKEND_SESSION_KEY) != session.get(BACKEND_SESSION_KEY):
            self.forget(key, user)
            return False
        self.remember(key, user)
        return True

    def is_at_hand(self, kept: Kept) -> bool:
        """Whether ``holds`` says True without a query for a session that is ``kept``, and its user is remembered."""
        if kept.login is None:
            return True
        if kept.user is None or not self.is_recent(kept):
            return False
        return kept.browser_key is None or self._was_found(kept.browser_key, kept.login[0])

    def is_recent(self, kept: Kept) -> bool:
        """Whether the login in what is ``kept`` was looked at within the interval, and its user not saved since."""
        return kept.login is None or (
            kept.checked_at is not None
            and kept.version == self.version(kept.login[0])
            and self.clock() - kept.checked_at < conf.login_check_interval()
        )

    def _note(self, session: ChannelSession) -> None:
        """Note, before the user is read, when the login in a ``session`` was looked at that has just been read."""
        if not session.was_read and session.kept is None:
            session.keys()  # reads it
        kept = session.kept
        if kept is not None and kept.login is not None and kept.checked_at is None:
            kept.version = self.version(kept.login[0])
            kept.checked_at = self.clock()

    def remember_user(self, kept: Kept, key: str | None, user: Any, version: tuple[int, int]) -> None:
        """Remember the user of the browser's session, if it is that of what is ``kept``.

        Args:
            kept: What a connection keeps of its session.
            key: The primary key, as text, of who is logged in in the browser's session.
            user: The user, for this alone.
            version: That of the user, when it was read.
        """
        if kept.login is None or kept.login[0] != key or kept.checked_at is not None or not user.is_authenticated:
            return
        found_at = self._found_at.get((kept.browser_key or "", key))
        if found_at is not None:
            kept.checked_at, kept.version, kept.user = found_at, version, user

    def _was_found(self, key: str, user: str) -> bool:
        found_at = self._found_at.get((key, user))
        return found_at is not None and self.clock() - found_at < conf.login_check_interval()

    def version(self, user: str | None) -> tuple[int, int]:
        """What changes when this process saves the ``user``; to be asked before the user is read."""
        return self._forgotten, self._versions.get(user or "", 0)

    def user_changed(self, user: str) -> None:
        """The ``user``, as text, was saved or deleted by this process: what is remembered of it is out of date."""
        if len(self._versions) >= REMEMBERED:
            self._forgotten += 1
            self._versions.clear()
        self._versions[user] = self._versions.get(user, 0) + 1

    def remember(self, key: str, user: str) -> None:
        """The login of ``user`` is in the browser's session ``key`` now."""
        self._found_at.pop((key, user), None)  # the oldest come first
        self._found_at[key, user] = self.clock()
        while len(self._found_at) > REMEMBERED:
            try:
                del self._found_at[next(iter(self._found_at))]
            except (KeyError, StopIteration, RuntimeError):  # another thread was faster
                return

    def forget(self, key: str, user: str) -> None:
        """Look the login of ``user`` in the browser's session ``key`` up again at the next event."""
        self._found_at.pop((key, user), None)


#: Those of this process.
checks = LoginChecks()


# What ends a login


def logged_out(sender: Any, request: Any = None, user: Any = None, **kwargs: Any) -> None:
    """A ``user_logged_out`` receiver: close the sockets of the browser's session, where ``ON_LOGOUT`` says so.

    A logout in a channel session is the affair of that socket alone. Whatever fails here, the logout goes on.

    Args:
        sender: The class of the user; unused.
        request: The request that logs out.
        user: Who was logged in; None for nobody.
        **kwargs: What else the signal sends; unused.
    """
    session = getattr(request, "session", None)
    key = getattr(session, "session_key", None)
    if isinstance(session, ChannelSession) or not key or user is None:
        return
    try:
        checks.forget(key, _key_of_user(user))
        if conf.closes_on_logout():
            for alias in routed_aliases():
                group = session_group(key, alias)
                group.send({"close": CLOSE_CODE})
                group.send({"close": CLOSE_CODE}, delay=CLOSE_AGAIN)
    except Exception:
        logger.exception("The sockets of a session that is logged out are not told; each finds out at its next event")


def watch_users(model: Any) -> None:
    """Hear of the users that this process saves and deletes, through proxies of their model too.

    Idempotent.

    Args:
        model: The class of users.
    """
    post_save.connect(user_saved, model, dispatch_uid="routechan_user_saved")
    post_delete.connect(user_deleted, model, dispatch_uid="routechan_user_deleted")
    for each in model.__subclasses__():  # a receiver of all classes would have every deletion read what it deletes
        watch_users(each)


def user_saved(
    sender: Any,
    instance: Any,
    using: str | None = None,
    created: bool = False,
    update_fields: Any = None,
    **kwargs: Any,
) -> None:
    """A ``post_save`` receiver: what connections remember of a user is out of date.

    Other processes are told of a new password and of a user who may not log in, not of every save: that would be a
    message on the layer each.

    Args:
        sender: The class of the user; unused.
        instance: The user.
        using: The alias of the database.
        created: Whether it is a new one, whom nobody remembers.
        update_fields: The names of the fields that were saved; None for all.
        **kwargs: What else the signal sends; unused.
    """
    if created:
        return
    fields = update_fields or ()
    # Django keeps the password that was set, to tell validators of it, until the user is saved.
    has_new_password = "password" in fields or (not fields and getattr(instance, "_password", None) is not None)
    _user_changed(instance, using, tells=has_new_password or not getattr(instance, "is_active", True))


def user_deleted(sender: Any, instance: Any, using: str | None = None, **kwargs: Any) -> None:
    """A ``post_delete`` receiver, as ``user_saved``.

    Args:
        sender: The class of the user; unused.
        instance: The user.
        using: The alias of the database.
        **kwargs: What else the signal sends; unused.
    """
    _user_changed(instance, using, tells=True)


def _user_changed(instance: Any, using: str | None, *, tells: bool) -> None:
    user = _key_of_user(instance)
    checks.user_changed(user)  # this process may read what it has not committed yet

    def committed() -> None:
        checks.user_changed(user)
        if tells:
            _tell_sockets(user)

    after_commit(using, committed)


def _tell_sockets(user: str) -> None:
    try:
        for alias in conf.inline_aliases():
            user_group(user, alias).send({CHANGED: True}, immediately=True)
    except Exception as error:  # the user is saved; its sockets are asked again within LOGIN_CHECK_INTERVAL
        logger.warning("Other processes could not be told that a user may not log in any more: %r", error)


def routed_aliases() -> list[str]:
    """The aliases of the layers that function consumers are on."""
    return [alias for alias in conf.layer_aliases() if not conf.has_no_routing(alias)]
