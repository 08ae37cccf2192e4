"""The app config, which listens for saved notices."""

from __future__ import annotations

from django.apps import AppConfig


class FeedConfig(AppConfig):
    name = "feed"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import notifications  # noqa: PLC0415 (models are ready only now)

        notifications.connect()
