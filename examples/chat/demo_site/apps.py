"""The app config of the project itself: its templates, static files and demo users."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from .demo_users import make_demo_users


class DemoSiteConfig(AppConfig):
    name = "demo_site"

    def ready(self) -> None:
        post_migrate.connect(make_demo_users, sender=apps.get_app_config("auth"))
