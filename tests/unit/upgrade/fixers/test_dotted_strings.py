"""The fixer ``dotted_strings``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ('patch("channels.auth.transfer_user")\n', 'patch("routechan_django.auth.transfer_user")\n'),
    ("patch('channels.Group.send', x)\n", "patch('routechan.Group.send', x)\n"),
    (
        'route("http.request", "channels.staticfiles.StaticFilesConsumer")\n',
        'route("http.request", "routechan_django.staticfiles.StaticFilesConsumer")\n',
    ),
    ('import_module("channels.sessions")\n', 'import_module("routechan_django.sessions")\n'),
    ("logging.getLogger('django.channels')\n", "logging.getLogger('routechan')\n"),
    ("L = {'loggers': {'django.channels': {}}}\n", "L = {'loggers': {'routechan': {}}}\n"),
    (
        "import_string('asgi_redis.RedisChannelLayer')\n",
        "import_string('routechan_django.alias.old_layers.RedisChannelLayer')\n",
    ),
]

KEEPS = [
    "Channel('channels.receive').send({})\n",
    "x = 'channels'\ny = 'channels.auth'\n",
    '"""channels.auth.transfer_user"""\n',
    "x = 'see channels.auth.transfer_user'\n",
    "x = f'channels.auth.{name}'\n",
    "x = 'django.channels.other'\n",
    "B = 'asgi_redis.RedisChannelLayer'\n",
    Case("patch('channels.auth.transfer_user')\n", others={"channels/__init__.py": ""}),
]

TELLS = [("import_module('channels.layers')\n", "Channels 2 and later")]
