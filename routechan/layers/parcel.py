"""One message's content on its way: a dict, bytes, or both, each made from the other when first asked for."""

from __future__ import annotations

from ..encoding import Content
from .serializer import Serializer


class Parcel:
    """Lifetime: one send, or one arrival."""

    __slots__ = ("_content", "_data", "_serializer")

    def __init__(self, serializer: Serializer, *, content: Content | None = None, data: bytes | None = None) -> None:
        self._serializer = serializer
        self._content = content
        self._data = data

    @property
    def content(self) -> Content:
        """For receivers that only read it; raises ``Undecodable``."""
        if self._content is None:
            self._content = self._serializer.decode(self._data or b"")
        return self._content

    @property
    def data(self) -> bytes:
        """Raises ``InvalidContent`` and ``MessageTooLarge``."""
        if self._data is None:
            self._data = self._serializer.encode(self._content or {})
        return self._data
