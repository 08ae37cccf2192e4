"""The keys of ``ROUTECHAN`` about sessions and the logins in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SESSION_KEY_IN_QUERY, ON_LOGOUT, LOGIN_CHECK_INTERVAL = LOGIN_KEYS = (
    "SESSION_KEY_IN_QUERY",
    "ON_LOGOUT",
    "LOGIN_CHECK_INTERVAL",
)

CLOSE, ANONYMOUS = "close", "anonymous"

#: Seconds for which a login that was found in a browser's session is not looked up again.
DEFAULT_INTERVAL = 5.0


def session_key_in_query() -> bool:
    """Whether a socket may name a browser's session in its URL: ``SESSION_KEY_IN_QUERY``, by default False.

    Raises:
        ImproperlyConfigured: It is no bool.
    """
    value = _value(SESSION_KEY_IN_QUERY, False)
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f"ROUTECHAN[{SESSION_KEY_IN_QUERY!r}] is {value!r:.100}; expected True or False")
    return value


def closes_on_logout() -> bool:
    """Whether a socket whose login has ended is closed, or goes on as an anonymous one: ``ON_LOGOUT``.

    Raises:
        ImproperlyConfigured: It is neither "close", the default, nor "anonymous".
    """
    value = _value(ON_LOGOUT, CLOSE)
    if value not in (CLOSE, ANONYMOUS):
        raise ImproperlyConfigured(f"ROUTECHAN[{ON_LOGOUT!r}] is {value!r:.100}; expected {CLOSE!r} or {ANONYMOUS!r}")
    return bool(value == CLOSE)


def login_check_interval() -> float:
    """Seconds for which a login that was found is not looked up again: ``LOGIN_CHECK_INTERVAL``.

    Raises:
        ImproperlyConfigured: It is no number, or below 0.
    """
    value = _value(LOGIN_CHECK_INTERVAL, DEFAULT_INTERVAL)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
        raise ImproperlyConfigured(
            f"ROUTECHAN[{LOGIN_CHECK_INTERVAL!r}] is {value!r:.100}; expected seconds, 0 to look at every event"
        )
    return value


def _value(key: str, default: Any) -> Any:
    setting = getattr(settings, "ROUTECHAN", None)  # the rest of it is checked by ``conf.server``
    return setting.get(key, default) if isinstance(setting, Mapping) else default
