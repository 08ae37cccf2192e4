"""A project on routechan; ``BENCHMARK_LAYER`` and ``BENCHMARK_CONSUMERS`` say where its consumers run, and
``BENCHMARK_ROUTING`` which."""

import os

from base import *  # noqa: F403
from base import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "routechan_django"]
memory = os.environ.get("BENCHMARK_LAYER") != "redis"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": f"routechan.layers.{'InMemoryChannelLayer' if memory else 'RedisChannelLayer'}",
        "CONFIG": {} if memory else {"hosts": [os.environ["BENCHMARK_REDIS"]]},
        "ROUTING": os.environ.get("BENCHMARK_ROUTING", "routes.routing"),
        "CONSUMERS": os.environ.get("BENCHMARK_CONSUMERS", "inline"),
    },
}
