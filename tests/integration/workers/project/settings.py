"""A Django project whose consumers run in workers. Redis, and the folder of its sessions, are in the environment."""

import os

SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["routechan_django"]
ROOT_URLCONF = "tests.integration.workers.project.urls"
SESSION_ENGINE = "django.contrib.sessions.backends.file"
SESSION_FILE_PATH = os.environ["SESSIONS"]
USE_TZ = True
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.RedisChannelLayer",
        "CONFIG": {"hosts": [os.environ["REDIS"]], "prefix": os.environ["REDIS_PREFIX"], "lease": 2.0},
        "ROUTING": "tests.integration.workers.project.routing.channel_routing",
        "CONSUMERS": os.environ.get("CONSUMERS", "workers"),
    },
}
