"""The settings of a project that uses Channels 4 and routechan: one layer for both.

``TEST_LAYER`` chooses it: ``memory``, or the port of a Redis, where ``TEST_PREFIX`` keeps test runs apart.
"""

from __future__ import annotations

import os
import re
from typing import Any

SECRET_KEY = "not a secret: tests only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "tests.integration.channels4.project.urls"
ASGI_APPLICATION = os.environ.get("TEST_APPLICATION", "tests.integration.channels4.project.asgi.application")
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "channels",
    "routechan_django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("TEST_DATABASE", ":memory:")},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_LAYER = os.environ.get("TEST_LAYER", "memory")
_PREFIX = os.environ.get("TEST_PREFIX", "channels4")


def _layer(name: str, **options: Any) -> dict[str, Any]:
    if _LAYER == "memory":
        return {"BACKEND": "routechan.layers.InMemoryChannelLayer", "CONFIG": options}
    return {
        "BACKEND": "routechan.layers.RedisChannelLayer",
        # As it stood for channels_redis.
        "CONFIG": {"hosts": [("127.0.0.1", int(_LAYER))], "prefix": f"{_PREFIX}-{name}", **options},
    }


# No ROUTING in here: Channels refuses it.
CHANNEL_LAYERS = {
    "default": _layer(
        "default",
        capacity=1500,
        expiry=10,
        group_expiry=3600,
        channel_capacity={"tiny": 2, re.compile(r"^tight\."): 1},
    ),
    "alerts": {**_layer("alerts", capacity=20), "CONSUMERS": "inline"},
}
ROUTECHAN = {"ROUTING": "tests.integration.channels4.project.routing.channel_routing"}
