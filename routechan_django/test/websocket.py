"""``WSClient``: a client with a session, which can log in (TC-18 to TC-30)."""

from __future__ import annotations

import functools
import json as json_module
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import authenticate, login
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from routechan import testing
from routechan.encoding import Content
from routechan.layers import DEFAULT_CHANNEL_LAYER

from ..sessions import session_for_reply_channel
from ..sessions.stores import browser_store
from .client import Client

if TYPE_CHECKING:
    from django.contrib.auth.base_user import (
        AbstractBaseUser,  # a model, which must not be imported before the apps are loaded
    )

__all__ = ["Client", "SimpleCookie", "WSClient", "json_module", "session_for_reply_channel"]


class WSClient(Client, testing.WSClient):
    """A client of one WebSocket; its first message carries the cookie of its session. Lifetime: test.

    Args:
        ordered: Whether its messages have an ``order``, counted from 0.
        alias: The alias of the layer.
    """

    def __init__(self, *, ordered: bool = False, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        super().__init__(alias)
        self._open(ordered)
        #: Whether the next message carries the session's cookie; tests of 1.x set it, to have it sent again.
        self._session_cookie = True

    @functools.cached_property
    def session(self) -> SessionBase:
        """The session of this client's browser, whose cookie its first message carries (TC-21).

        The channel session of its consumers is ``session_for_reply_channel(client.reply_channel)``.

        Raises:
            OSError: The app ``django.contrib.sessions`` is not installed.
        """
        if not _sessions_installed():
            raise OSError("a client has a session if 'django.contrib.sessions' is in INSTALLED_APPS")
        session = browser_store(None)
        session.create()  # so that ``client.session.save()`` finds it
        return session

    def get_cookies(self) -> dict[str, str]:
        """The cookies of the next message by name; the session's cookie is in the first message only."""
        cookies = super().get_cookies()
        if self._session_cookie and _sessions_installed():
            cookies[settings.SESSION_COOKIE_NAME] = self.session.session_key or ""
        return cookies

    def send(self, to: str, content: Content | None = None, text: Any = None, path: str = "/") -> None:
        """Send a message, the first one with the session's cookie (TC-25).

        Args:
            to: The channel.
            content: Keys of the message; they take precedence over the other arguments.
            text: The text to send; encoded as JSON unless it is a str.
            path: The path of the WebSocket, with its query string if there is one.
        """
        super().send(to, content, text, path)
        self._session_cookie = False

    def login(self, **credentials: Any) -> bool:
        """Log in as a page of the project would (TC-29).

        Args:
            **credentials: What the authentication backends take.

        Returns:
            Whether the credentials are those of an active user.
        """
        user = authenticate(**credentials)
        if user is None or not user.is_active or not _sessions_installed():
            return False
        self._login(user, None)
        return True

    def force_login(self, user: AbstractBaseUser, backend: str | None = None) -> None:
        """Log ``user`` in without a password.

        Args:
            user: The user.
            backend: The dotted path of an authentication backend; by default the first of the settings.
        """
        self._login(user, backend or settings.AUTHENTICATION_BACKENDS[0])

    async def alogin(self, **credentials: Any) -> bool:
        """Call ``login``; for async tests.

        Args:
            **credentials: What the authentication backends take.

        Returns:
            Whether the credentials are those of an active user.
        """
        return bool(await self._run_sync(functools.partial(self.login, **credentials)))

    async def aforce_login(self, user: AbstractBaseUser, backend: str | None = None) -> None:
        """Call ``force_login`` with ``user`` and ``backend``; for async tests."""
        await self._run_sync(self.force_login, user, backend)

    def _login(self, user: AbstractBaseUser, backend: str | None) -> None:
        request = HttpRequest()
        request.session = self.session
        login(request, user, backend)  # type: ignore[arg-type]  # the project may have users of its own
        self.session.save()


def _sessions_installed() -> bool:
    return apps.is_installed("django.contrib.sessions")
