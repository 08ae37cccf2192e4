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
from routechan.layers import DEFAULT_CHANNEL_LAYER

from ..sessions import session_for_reply_channel
from .client import Client

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser  # a model: not to be imported before the apps are

__all__ = ["Client", "SimpleCookie", "WSClient", "json_module", "session_for_reply_channel"]


class WSClient(Client, testing.WSClient):
    """``WSClient(ordered=False, alias="default")``: plays one WebSocket. Lifetime: test.

    Its first message carries the cookie of its session, as a handshake does.
    """

    def __init__(self, *, ordered: bool = False, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        super().__init__(alias)
        self._open(ordered)

    @functools.cached_property
    def session(self) -> SessionBase:
        """The session of this client: that of its reply channel, until a login gives it a key of its own (TC-21)."""
        if not _sessions_installed():
            raise OSError("a client has a session if 'django.contrib.sessions' is in INSTALLED_APPS")
        session = session_for_reply_channel(self.reply_channel)
        key = session.session_key
        if key is not None and not session.exists(key):
            session.save(must_create=True)  # so that ``client.session.save()`` finds it
        return session

    def get_cookies(self) -> dict[str, str]:
        cookies = super().get_cookies()
        if not self._sent_any and _sessions_installed():
            cookies[settings.SESSION_COOKIE_NAME] = self.session.session_key or ""
        return cookies

    def login(self, **credentials: Any) -> bool:
        """Log in as a page of the project would; whether that succeeded (TC-29)."""
        user = authenticate(**credentials)
        if user is None or not user.is_active or not _sessions_installed():
            return False
        self._login(user, None)
        return True

    def force_login(self, user: AbstractBaseUser, backend: str | None = None) -> None:
        """Log ``user`` in without a password; ``backend`` is by default the first of the settings."""
        self._login(user, backend or settings.AUTHENTICATION_BACKENDS[0])

    async def alogin(self, **credentials: Any) -> bool:
        """``login`` for async tests."""
        return bool(await self._run_sync(functools.partial(self.login, **credentials)))

    async def aforce_login(self, user: AbstractBaseUser, backend: str | None = None) -> None:
        """``force_login`` for async tests."""
        await self._run_sync(self.force_login, user, backend)

    def _login(self, user: AbstractBaseUser, backend: str | None) -> None:
        request = HttpRequest()
        request.session = self.session
        login(request, user, backend)  # type: ignore[arg-type]  # the project may have users of its own
        self.session.save()


def _sessions_installed() -> bool:
    return apps.is_installed("django.contrib.sessions")
