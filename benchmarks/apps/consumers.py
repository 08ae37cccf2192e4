"""The consumers of ``routes.py``, run in the server process, on the layer that ``BENCHMARK_LAYER`` names."""

import os

from routes import routing

from routechan import application
from routechan.layers import RedisChannelLayer

layer = os.environ.get("BENCHMARK_LAYER", "memory")
if layer == "memory":
    app = application(routing)
else:
    host = {"address": os.environ["BENCHMARK_REDIS"], **({"cluster": True} if layer == "cluster" else {})}
    app = application(routing, layer=RedisChannelLayer(hosts=[host]))
