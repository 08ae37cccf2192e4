"""The app ``channels`` of 1.x settings."""

from __future__ import annotations

from pathlib import Path

from .. import apps


class ChannelsConfig(apps.RoutechanConfig):
    """The app for ``"channels"`` in INSTALLED_APPS; ``apps.is_installed("channels")`` is true (AP-02).

    Both it and ``"routechan_django"`` may be installed: what they set up is idempotent. Lifetime: process.
    """

    name = "channels"
    verbose_name = "Channels"
    path = str(Path(apps.__file__).parent)
