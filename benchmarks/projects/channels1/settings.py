"""A project of Channels 1.x, as its documentation had one start."""

import os

SECRET_KEY = "not a secret: a benchmark"
INSTALLED_APPS = ["channels"]
DATABASES = {}
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "asgi_redis.RedisChannelLayer",
        "CONFIG": {"hosts": [os.environ.get("BENCHMARK_REDIS", "redis://localhost:6379/0")]},
        "ROUTING": "routing.channel_routing",
    },
}
