"""The settings of the demo: SQLite, and the in-memory layer unless DEMO_REDIS names a Redis."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

# The other examples are Django apps next door: examples/status, examples/groupchat and so on.
sys.path.append(str(BASE_DIR.parent))

# For a demo on your own machine. DEMO_DEBUG=0 turns off error pages, static files and the demo users.
DEBUG = os.environ.get("DEMO_DEBUG", "1") == "1"
PUBLISHED_KEY = "not a secret: for the demo only"
SECRET_KEY = os.environ.get("DEMO_SECRET_KEY", PUBLISHED_KEY)
if SECRET_KEY == PUBLISHED_KEY and not DEBUG:
    raise ImproperlyConfigured("With DEMO_DEBUG=0 set DEMO_SECRET_KEY: whoever knows the key can log in as anybody")

# To open the demo from a phone, name this machine's address here: DEMO_ALLOWED_HOSTS=192.168.1.20
ALLOWED_HOSTS = [host for host in os.environ.get("DEMO_ALLOWED_HOSTS", "").split(",") if host]

INSTALLED_APPS = [
    "demo_site",
    "chat",
    "feed",
    "status",
    "groupchat",
    "ticker",
    "presence",
    "routechan_django",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

# With DEMO_REDIS=redis://localhost:6379 the demo may be served by several processes.
REDIS = os.environ.get("DEMO_REDIS")

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.RedisChannelLayer" if REDIS else "routechan.layers.InMemoryChannelLayer",
        "CONFIG": {
            "capacity": 1500,  # unread messages a channel may hold
            "expiry": 10,  # seconds an unread message lives
            "linger": 2,  # seconds until somebody without a window has left; loading a page again takes less
            "history": {"feed": {"size": 100, "seconds": 300}},  # what who comes back is given
            **({"hosts": [REDIS]} if REDIS else {}),
        },
        "ROUTING": "demo_site.routing.channel_routing",
    },
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DEMO_DATABASE", BASE_DIR / "demo.sqlite3"),
        "OPTIONS": {"timeout": 20},
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {name: {"handlers": ["console"], "level": "INFO"} for name in ("routechan", "status", "ticker")},
}

ROOT_URLCONF = "demo_site.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "index"
LOGOUT_REDIRECT_URL = "index"

# Pages of the feed may use an event stream in place of a WebSocket.
ROUTECHAN = {"EVENT_STREAMS": True}
