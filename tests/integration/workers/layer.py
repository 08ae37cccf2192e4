"""The layer that the processes of one test, or one soak, share."""

from __future__ import annotations

import json
import os

from routechan.layers import DEFAULT_CHANNEL_LAYER, RedisChannelLayer, channel_layers


def shared_layer() -> RedisChannelLayer:
    """What the environment says; it is the default layer too."""
    layer = RedisChannelLayer(
        prefix=os.environ["REDIS_PREFIX"],
        **{"hosts": [os.environ["REDIS"]], "lease": 2.0, **json.loads(os.environ.get("LAYER_OPTIONS", "{}"))},
    )
    channel_layers.set(DEFAULT_CHANNEL_LAYER, layer.sync)
    return layer
