"""The settings; the folder of the database is in the environment."""

import os
from pathlib import Path

SECRET_KEY = "for tests only"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.integration.browser.admin_site.urls"
STATIC_URL = "/static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "routechan_django",
    "routechan_django.overview",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(os.environ["FOLDER"], "site.sqlite3")}}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.RedisChannelLayer",
        "CONFIG": {"hosts": [os.environ["REDIS"]], "prefix": os.environ["REDIS_PREFIX"]},
        "ROUTING": "tests.integration.browser.admin_site.urls.channel_routing",
    },
}
ROUTECHAN = {"ALLOWED_ORIGINS": ["*"], "METRICS_PATH": "/metrics"}
