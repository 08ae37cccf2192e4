"""Who opened this socket: the user of the browser's session.

Only ``websocket.connect`` carries the cookies. A later version of routechan_django brings the decorators
of 1.x for this (``channel_session_user_from_http`` and its kin); until then these few lines do it.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user


def session_user(message):
    """The logged-in user of a ``websocket.connect`` message, or ``AnonymousUser``."""
    engine = import_module(settings.SESSION_ENGINE)
    return get_user(SimpleNamespace(session=engine.SessionStore(_session_key(message))))


asession_user = sync_to_async(session_user)


def _session_key(message) -> str | None:
    header = dict(message["headers"]).get(b"cookie", b"").decode("latin-1")
    try:
        cookie = SimpleCookie(header).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    return cookie.value if cookie else None
