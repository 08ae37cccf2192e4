"""The app ``channels.delay`` of 1.x settings."""

from __future__ import annotations

from ..delay import apps


class DelayConfig(apps.DelayConfig):
    """The app for ``"channels.delay"`` in INSTALLED_APPS; ``apps.is_installed("channels.delay")`` is true."""

    name = "channels.delay"
