"""With a layer on the Redis of ``REDIS``."""

import os

SECRET_KEY = "not a secret: tests only"
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "tests.integration.testruns.project.site"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "routechan_django",
    "tests.integration.testruns.project.early.EarlyConfig",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.RedisChannelLayer",
        "CONFIG": {"hosts": [os.environ["REDIS"]]},
        "ROUTING": "tests.integration.testruns.project.site.channel_routing",
    },
}
