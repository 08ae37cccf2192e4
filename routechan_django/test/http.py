"""The name ``WSClient`` had before Channels 1.1."""

from __future__ import annotations

import warnings

from .websocket import WSClient

__all__ = ["HttpClient"]

warnings.warn(
    f"{__name__} is deprecated; import WSClient from routechan_django.test",
    DeprecationWarning,
    stacklevel=2,
)

HttpClient = WSClient
