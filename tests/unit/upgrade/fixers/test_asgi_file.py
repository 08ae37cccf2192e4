"""The fixer ``asgi_file``."""

from .cases import Case, test_changes, test_keeps

__all__ = ["test_changes", "test_keeps"]

OLD = 'import os\nfrom routechan_django.asgi import get_channel_layer\n\nos.environ.setdefault("A", "b")\n'
NEW = OLD.replace("get_channel_layer", "get_asgi_application")

CHANGES = [
    Case(OLD + "channel_layer = get_channel_layer()\n", NEW + "application = get_asgi_application()\n", "p/asgi.py"),
    Case(
        "import routechan_django.asgi\n\nchannel_layer = routechan_django.asgi.get_channel_layer('b')\n",
        "import routechan_django.asgi\n\napplication = routechan_django.asgi.get_asgi_application('b')\n",
        "p/asgi.py",
    ),
]

KEEPS = [
    Case(OLD + "channel_layer = get_channel_layer()\n", "", "p/views.py"),
    Case(OLD + "channel_layer = get_channel_layer()\nwrap(channel_layer)\n", "", "p/asgi.py"),
    Case(
        OLD + "channel_layer = get_channel_layer()\n",
        "",
        "p/asgi.py",
        {"p/views.py": "from p.asgi import channel_layer\n"},
    ),
    Case(OLD + "application = None\nchannel_layer = get_channel_layer()\n", "", "p/asgi.py"),
    Case("from other import get_channel_layer\nchannel_layer = get_channel_layer()\n", "", "p/asgi.py"),
]
