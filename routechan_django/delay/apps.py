"""The app config of the delay server."""

from __future__ import annotations

from django.apps import AppConfig


class DelayConfig(AppConfig):
    """The app ``routechan_django.delay``. Lifetime: process."""

    name = "routechan_django.delay"
    label = "routechan_delay"  # Django refuses the label of 1.x, "channels.delay" (PL-06)
    verbose_name = "Channels Delay"
    default_auto_field = "django.db.models.AutoField"  # the table of 1.x has an integer key (PL-14)
