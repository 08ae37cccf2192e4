"""Channel layers: what carries messages between consumers, sockets and processes."""

from .base import BaseChannelLayer, SyncChannelLayer
from .memory import InMemoryChannelLayer
from .redis import RedisChannelLayer
from .registry import DEFAULT_CHANNEL_LAYER, channel_layers

__all__ = [
    "DEFAULT_CHANNEL_LAYER",
    "BaseChannelLayer",
    "InMemoryChannelLayer",
    "RedisChannelLayer",
    "SyncChannelLayer",
    "channel_layers",
]
