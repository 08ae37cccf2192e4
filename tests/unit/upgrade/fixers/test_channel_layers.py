"""The fixer ``channel_layers``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("L = {'BACKEND': 'asgi_redis.RedisChannelLayer'}\n", "L = {'BACKEND': 'routechan.layers.RedisChannelLayer'}\n"),
    ('L["BACKEND"] = "asgi_redis.core.RedisChannelLayer"\n', 'L["BACKEND"] = "routechan.layers.RedisChannelLayer"\n'),
    (
        "B = env('B', default='asgiref.inmemory.ChannelLayer')\n",
        "B = env('B', default='routechan.layers.InMemoryChannelLayer')\n",
    ),
    (
        "B = os.environ.get('B', 'asgiref.inmemory.ChannelLayer')\n",
        "B = os.environ.get('B', 'routechan.layers.InMemoryChannelLayer')\n",
    ),
    (
        "L = {\n    'BACKEND': 'x.Layer',\n    'CONFIG': {\n        'hosts': [],\n"
        "        'stats_prefix': 'a',  # no\n        'expiry': 1,\n    },\n}\n",
        "L = {\n    'BACKEND': 'x.Layer',\n    'CONFIG': {\n        'hosts': [],\n        'expiry': 1,\n    },\n}\n",
    ),
    (
        "L = {'BACKEND': 'x.L', 'CONFIG': {'on_reconnect': None, 'a': 1}}\n",
        "L = {'BACKEND': 'x.L', 'CONFIG': {'a': 1}}\n",
    ),
    (
        "L = {'BACKEND': 'x.L', 'TEST_CONFIG': {'a': 1, 'on_reconnect': None}}\n",
        "L = {'BACKEND': 'x.L', 'TEST_CONFIG': {'a': 1}}\n",
    ),
]

KEEPS = [
    "L = {'BACKEND': 'x.L', 'CONFIG': {'symmetric_encryption_keys': []}}\n",
    *(
        Case(
            "L = {'BACKEND': 'x.L', 'CONFIG': {'symmetric_encryption_keys': [A]}}\n", others={"requirements.txt": line}
        )
        for line in ("Django\ncryptography>=3\n", "routechan[server,crypto]\n")
    ),
    "L = {'BACKEND': 'project.layers.Layer', 'CONFIG': {'hosts': [('localhost', 6379)]}}\n",
    "C = {'BACKEND': 'django_redis.cache.RedisCache', 'OPTIONS': {}}\n",
    "import_string('asgi_redis.RedisChannelLayer')\n",
    "L = {'CONFIG': {'stats_prefix': 'a'}}\n",
    "L = {'BACKEND': 'routechan.layers.RedisChannelLayer', 'CONFIG': {'capacity': 3}}\n",
]

TELLS = [
    Case(
        "L = {'BACKEND': 'x.L', 'CONFIG': {'symmetric_encryption_keys': [A]}}\n",
        "1: symmetric_encryption_keys needs cryptography",
        others={"requirements.txt": "routechan[server]\n"},
    ),
    ("L = {'BACKEND': 'asgi_ipc.IPCChannelLayer'}\n", "there is no such layer here"),
    ("L = {'BACKEND': 'asgi_rabbitmq.RabbitmqChannelLayer'}\n", "write routechan.layers.RedisChannelLayer"),
    ("L = {'BACKEND': 'channels.database_layer.DatabaseChannelLayer'}\n", "removed in Channels 0.13"),
    ("L = {'BACKEND': 'asgi_redis.RedisSentinelChannelLayer', 'CONFIG': {'services': ['a']}}\n", "still works"),
]
