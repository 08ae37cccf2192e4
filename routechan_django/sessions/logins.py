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

from routechan import Group, Message
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.telemetry.log_fields import message_log_fields

from .. import conf
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
    user: str | None = session.get(SESSION_KEY)
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

    def holds(self, session: SessionBase) -> bool:
        """Whether the login in a channel session still stands.

        One that came from a browser's session ends with that: when it is logged out, deleted, or has expired, or when
        somebody else logs in there. Asked again within ``LOGIN_CHECK_INTERVAL``, the answer may be from before.

        Args:
            session: The channel session.
        """
        key: str | None = getattr(session, "browser_key", None)
        user = user_in(session)
        if key is None or user is None:
            return True
        found_at = self._found_at.get((key, user))
        if found_at is not None and self.clock() - found_at < conf.login_check_interval():
            return True
        browser = browser_store(key)
        if browser.get(SESSION_KEY) != user or browser.get(BACKEND_SESSION_KEY) != session.get(BACKEND_SESSION_KEY):
            self.forget(key, user)
            return False
        self.remember(key, user)
        return True

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


def routed_aliases() -> list[str]:
    """The aliases of the layers that function consumers are on."""
    return [alias for alias in conf.layer_aliases() if not conf.has_no_routing(alias)]
