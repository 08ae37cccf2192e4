"""A project on Channels 4; ``BENCHMARK_LAYER`` says which of its layers."""

import os

from base import *  # noqa: F403
from base import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "channels"]
redis = os.environ.get("BENCHMARK_REDIS")
# redis-py 8 gives up after 5 s by default, as long as channels_redis waits for a message.
hosts = {"hosts": [{"address": redis, "socket_timeout": 60}]}
CHANNEL_LAYERS = {
    "default": {
        "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
        "core": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": hosts},
        "pubsub": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": hosts},
    }[os.environ.get("BENCHMARK_LAYER", "memory")],
}
