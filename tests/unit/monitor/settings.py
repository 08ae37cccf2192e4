"""A Django project that looks at the processes of ``tests.integration.workers.fleet``."""

import json
import os

SECRET_KEY = "tests"
USE_TZ = True
INSTALLED_APPS = ["routechan_django"]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.RedisChannelLayer",
        "CONFIG": {
            "hosts": [os.environ.get("REDIS", "redis://localhost:6379")],
            "prefix": os.environ.get("REDIS_PREFIX", "observe"),
            **json.loads(os.environ.get("LAYER_OPTIONS", "{}")),
        },
        "ROUTING": [],
    },
    "memory": {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": []},
}
