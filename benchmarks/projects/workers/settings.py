"""A project whose consumers run in workers, or inline to compare with: ``BENCHMARK_LAYER`` says on which layer."""

import os

SECRET_KEY = "not a secret: a benchmark"
INSTALLED_APPS = ["routechan_django"]
DATABASES = {}
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
USE_TZ = True

memory = os.environ.get("BENCHMARK_LAYER") == "memory"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": f"routechan.layers.{'InMemoryChannelLayer' if memory else 'RedisChannelLayer'}",
        "CONFIG": {} if memory else {"hosts": [os.environ["BENCHMARK_REDIS"]]},
        "ROUTING": "routes.routing",
        "CONSUMERS": os.environ.get("BENCHMARK_CONSUMERS", "workers"),
    },
}
