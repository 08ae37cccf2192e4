"""The app config of the page in the admin."""

from __future__ import annotations

from django.apps import AppConfig


class OverviewConfig(AppConfig):
    """The app ``routechan_django.overview``. Lifetime: process."""

    name = "routechan_django.overview"
    label = "routechan_overview"
    verbose_name = "Channels"
    default_auto_field = "django.db.models.AutoField"
