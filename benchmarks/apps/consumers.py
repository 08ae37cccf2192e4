"""The consumers of ``routes.py``, run in the server process, in memory or on the Redis of ``BENCHMARK_LAYER``."""

import os

from routes import routing

from routechan import application
from routechan.layers import RedisChannelLayer

if os.environ.get("BENCHMARK_LAYER") == "redis":
    app = application(routing, layer=RedisChannelLayer(hosts=[os.environ["BENCHMARK_REDIS"]]))
else:
    app = application(routing)
