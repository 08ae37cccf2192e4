"""The app ``channels`` of 1.x settings."""

from __future__ import annotations

from pathlib import Path

from .. import apps


class ChannelsConfig(apps.RoutechanConfig):
    """``"channels"`` in INSTALLED_APPS; ``apps.is_installed("channels")`` is true (AP-02).

    Beside ``"routechan_django"`` it does no harm: the two set up the same things.
    """

    name = "channels"
    verbose_name = "Channels"
    path = str(Path(apps.__file__).parent)
