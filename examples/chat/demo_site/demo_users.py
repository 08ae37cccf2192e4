"""Two users to log in as, made by ``migrate`` with DEBUG only, because everybody knows their password."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth import get_user_model

NAMES = ("alice", "bob")
PASSWORD = "demo-password"


def make_demo_users(apps: Apps, **kwargs: Any) -> None:
    """Make the users, once the table of users exists; ``apps`` has the models as migrated so far."""
    if not settings.DEBUG or "user" not in apps.all_models["auth"]:
        return
    users: Any = get_user_model().objects
    for name in NAMES:
        if not users.filter(username=name).exists():
            users.create_user(name, password=PASSWORD)
