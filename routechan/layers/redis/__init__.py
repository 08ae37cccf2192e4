"""The channel layer of several processes, on Redis."""

from .layer import RedisChannelLayer

__all__ = ["RedisChannelLayer"]
