"""The fixer ``imports``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("from channels import Group\n", "from routechan import Group\n"),
    (
        "from channels.auth import channel_session_user as u\n",
        "from routechan_django.auth import channel_session_user as u\n",
    ),
    (
        "from channels import Group, auth, channel_layers, DEFAULT_CHANNEL_LAYER as D\n",
        "from routechan import Group, DEFAULT_CHANNEL_LAYER as D\n"
        "from routechan_django import auth\n"
        "from routechan_django.asgi import channel_layers\n",
    ),
    (
        "from channels.sessions import (\n    channel_session,  # first\n    enforce_ordering,\n)\n",
        "from routechan_django.sessions import (\n    channel_session,  # first\n    enforce_ordering,\n)\n",
    ),
    (
        "from channels.tests import ChannelTestCase, HttpClient\n",
        "from routechan_django.test import ChannelTestCase, HttpClient\n",
    ),
    (
        "from channels.tests.base import ChannelTestCase\nfrom channels.tests.http import HttpClient\n",
        "from routechan_django.test import ChannelTestCase\nfrom routechan_django.test import HttpClient\n",
    ),
    (
        "from channels.message import Message, pending_message_store\n",
        "from routechan.message import Message\nfrom routechan_django.alias.pending import pending_message_store\n",
    ),
    ("from channels.binding.websockets import *\n", "from routechan_django.binding.websockets import *\n"),
    (
        "import channels.asgi\n\nchannel_layer = channels.asgi.get_channel_layer()\n",
        "import routechan_django.asgi\n\nchannel_layer = routechan_django.asgi.get_channel_layer()\n",
    ),
    (
        "import channels\n\nchannels.Group('a').send({})\nchannels.auth.http_session_user\n",
        "import routechan\nimport routechan_django.auth\n\n"
        "routechan.Group('a').send({})\nroutechan_django.auth.http_session_user\n",
    ),
    ("import os, channels.log as log\n", "import os, routechan_django.log as log\n"),
    (
        "def f():\n    from channels import Channel, handler\n    return Channel\n",
        "def f():\n    from routechan import Channel\n    from routechan_django import handler\n    return Channel\n",
    ),
    ("from asgi_redis import RedisChannelLayer\n", "from routechan_django.alias.old_layers import RedisChannelLayer\n"),
    (
        "from asgiref.inmemory import ChannelLayer\nfrom asgiref import inmemory\n",
        "from routechan_django.alias.old_layers import ChannelLayer\n"
        "from routechan_django.alias import old_layers as inmemory\n",
    ),
    (
        "from channels.apps import ChannelsConfig\n",
        "from routechan_django.apps import RoutechanConfig as ChannelsConfig\n",
    ),
    ("import channels\r\nchannels.route\r\n", "import routechan\r\nroutechan.route\r\n"),
    ("s = 'é'; from channels import Group\n", "s = 'é'; from routechan import Group\n"),
]

KEEPS = [
    "from .channels import Group\n",
    "from project.channels import Group\n",
    "from asgiref.sync import async_to_sync\nimport asgiref\n",
    "import channels_redis\n",
    "channels = ['a']\nchannels.append('b')\n",
    "from routechan import Group\nfrom routechan_django.auth import channel_session\n",
    "class A:\n    channels = None\n    def f(self, channels):\n        return channels.auth\n",
    "# from channels import Group\ns = 'from channels import Group'\n",
]

TELLS = [
    ("from routechan_django.alias import install\n\ninstall()\n", "1: the alias: when nothing has the old names"),
    ("from channels.generic.websocket import WebsocketConsumer\n", "in 1.x it is channels.generic.websockets"),
    ("from channels.layers import get_channel_layer\n", "1: channels.layers.get_channel_layer"),
    ("from channels.routing import ProtocolTypeRouter\n", "Channels 2 and later"),
    ("from channels.decorators import linearize\n", "before Channels 0.9"),
    ("from channels import Gruop\n", "had no such name"),
    ("x = 1; from channels import Group, auth\n", "split this import"),
    ("from channels import (\n    Group,  # a\n    auth,\n)\n", "split this import"),
    ("import channels\n\ndef f(channels):\n    return channels.Group\n", "other things of that name"),
    ("import channels\nprint(channels.__version__)\n", "2: channels.__version__"),
    ("from channels import *\n", "from channels import *"),
    Case("from channels import Group\n", "a package 'channels' of its own", others={"channels/__init__.py": ""}),
]
