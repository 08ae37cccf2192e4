"""Two users to log in as, made by ``migrate``; never outside of DEBUG, since everybody knows their password."""

from __future__ import annotations

from django.conf import settings

NAMES = ("alice", "bob")
PASSWORD = "demo-password"


def make_demo_users(**kwargs) -> None:
    if not settings.DEBUG:
        return
    from django.contrib.auth import get_user_model  # there are no models yet when the app config imports us

    users = get_user_model().objects
    for name in NAMES:
        if not users.filter(username=name).exists():
            users.create_user(name, password=PASSWORD)
