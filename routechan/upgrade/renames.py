"""What the names of Channels 1.x, asgi_redis and asgiref's old layers are called here.

The alias, which answers to the old names, and ``upgrade``, which rewrites them, both read these tables.
"""

from __future__ import annotations

from collections.abc import Mapping

_IN_DJANGO_PACKAGE = (
    "asgi",
    "auth",
    "binding",
    "delay",
    "generic",
    "hacks",
    "handler",
    "log",
    "management",
    "package_checks",
    "security",
    "sessions",
    "signals",
    "staticfiles",
    "test",
    "tests",
    "utils",
    "worker",
)

#: Old module -> the module of ours with all its names; submodules correspond by name.
MODULES: Mapping[str, str] = {
    **{f"channels.{name}": f"routechan_django.{name}" for name in _IN_DJANGO_PACKAGE},
    "channels.channel": "routechan.channel",
    "channels.exceptions": "routechan.exceptions",
}

#: Old module -> the module of ours that lacks some of its names.
PARTIAL: Mapping[str, str] = {"channels.message": "routechan.message", "channels.routing": "routechan.routing"}

#: Module in ``PARTIAL`` -> the names that ours lacks, and the modules that have them.
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "channels.message": {
        "PendingMessageStore": "routechan_django.alias.pending",
        "pending_message_store": "routechan_django.alias.pending",
        "consumer_started": "routechan_django.signals",
        "consumer_finished": "routechan_django.signals",
    },
    "channels.routing": {"ImproperlyConfigured": "django.core.exceptions"},
}

#: Name of the package ``channels`` itself -> the module that has it.
PACKAGE: Mapping[str, str] = {
    "DEFAULT_CHANNEL_LAYER": "routechan",
    "Channel": "routechan",
    "Group": "routechan",
    "channel_layers": "routechan_django.asgi",
    "include": "routechan",
    "route": "routechan",
    "route_class": "routechan",
}

#: The modules of the Redis layer of 1.x.
ASGI_REDIS = ("asgi_redis", "asgi_redis.core", "asgi_redis.local", "asgi_redis.sentinel")

#: The modules of asgiref 1.x that today's asgiref lacks.
ASGIREF = ("asgiref.base_layer", "asgiref.inmemory")

#: Our module with the names of both.
OLD_LAYERS = "routechan_django.alias.old_layers"

MEMORY, REDIS = "routechan.layers.InMemoryChannelLayer", "routechan.layers.RedisChannelLayer"

#: ``BACKEND`` of another package -> our layer that stands for it.
OLD_BACKENDS: Mapping[str, str] = {
    "asgiref.inmemory.ChannelLayer": MEMORY,
    "channels.layers.InMemoryChannelLayer": MEMORY,
    "asgi_redis.RedisChannelLayer": REDIS,
    "asgi_redis.core.RedisChannelLayer": REDIS,
    "asgi_redis.RedisLocalChannelLayer": REDIS,
    "asgi_redis.local.RedisLocalChannelLayer": REDIS,
    "asgi_redis.RedisSentinelChannelLayer": REDIS,
    "asgi_redis.sentinel.RedisSentinelChannelLayer": REDIS,
    "channels_redis.core.RedisChannelLayer": REDIS,
    "channels_redis.pubsub.RedisPubSubChannelLayer": REDIS,
}

#: Those of ``OLD_BACKENDS`` whose options are written otherwise here.
OLD_SENTINEL_BACKENDS = ("asgi_redis.RedisSentinelChannelLayer", "asgi_redis.sentinel.RedisSentinelChannelLayer")

#: Module that 1.1.8 did not have (13.3) -> what to do, after "is a module of Channels 2 and later, not of 1.x".
LATER: Mapping[str, str] = {
    "channels.consumer": "write consumers as functions, or as classes of channels.generic",
    "channels.db": "a plain function may use the database, in async code: asgiref.sync.sync_to_async",
    "channels.generic.http": "route http.request to a function, or leave HTTP to Django's views",
    "channels.generic.websocket": "in 1.x it is channels.generic.websockets",
    "channels.layers": "in 1.x it is channels.asgi.get_channel_layer, and routechan.layers has the layers",
    "channels.middleware": "in 1.x decorators do its work: channels.sessions, channels.auth",
    "channels.security.websocket": "in 1.x it is channels.security.websockets",
    "channels.testing": "in 1.x it is channels.test",
}

#: What came before 1.0 and is gone -> what to do.
REMOVED: Mapping[str, str] = {
    "channels.database_layer": f'was removed in Channels 0.13; write "BACKEND": "{REDIS}", or "{MEMORY}" for one '
    "process",
}
