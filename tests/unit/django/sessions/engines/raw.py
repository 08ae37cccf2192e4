"""A session engine of somebody's own, which keeps sessions in memory as they are: not encoded, not signed."""

from __future__ import annotations

import copy
from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

kept: dict[str, dict[str, Any]] = {}


class SessionStore(SessionBase):
    """Sessions in a dict. Lifetime: process."""

    def load(self) -> dict[str, Any]:
        if self.session_key not in kept:
            self._session_key = None
            return {}
        return copy.deepcopy(kept[self.session_key])

    def exists(self, session_key: str) -> bool:
        return session_key in kept

    def create(self) -> None:
        self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return self.create()
        if must_create and self.session_key in kept:
            raise CreateError
        if not must_create and self.session_key not in kept:
            raise UpdateError
        kept[self.session_key] = copy.deepcopy(self._get_session(no_load=must_create))  # type: ignore[attr-defined]
        return None

    def delete(self, session_key: str | None = None) -> None:
        kept.pop(session_key or self.session_key or "", None)

    @classmethod
    def clear_expired(cls) -> None:
        """Nothing expires."""
