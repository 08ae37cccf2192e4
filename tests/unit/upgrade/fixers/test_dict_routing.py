"""The fixer ``dict_routing``."""

from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    (
        "from a import b\n\nchannel_routing = {\n    'websocket.connect': b,  # c\n    \"x.y\": 'a.d',\n}\n",
        "from a import b\nfrom routechan import route\n\nchannel_routing = [\n"
        "    route('websocket.connect', b),  # c\n    route(\"x.y\", 'a.d'),\n]\n",
    ),
    (
        "routes = {'websocket.connect': 'a.b'}\n",
        "from routechan import route\n\nroutes = [route('websocket.connect', 'a.b')]\n",
    ),
    ("channel_routing = {}\n", "channel_routing = []\n"),
]

KEEPS = [
    "channel_routing = [route('websocket.connect', a)]\n",
    "colours = {'red': 1}\n",
    "def f():\n    return {'websocket.connect': 1}\n",
    "x = {'a': 1, **other}\n",
]

TELLS = [
    ("channel_routing = {'websocket.connect': {'a': b}}\n", "a routing that is a dict"),
    ("channel_routing = {name: b}\n", "a routing that is a dict"),
]
