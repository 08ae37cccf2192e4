"""The package ``channels`` itself, executed under that name once ``install()`` was called (AP-01)."""

import importlib

from routechan import DEFAULT_CHANNEL_LAYER, Channel, Group, include, route, route_class

__version__ = "1.1.8"
default_app_config = "channels.apps.ChannelsConfig"

__all__ = [
    "DEFAULT_CHANNEL_LAYER",
    "Channel",
    "Group",
    "channel_layers",
    "default_app_config",
    "include",
    "route",
    "route_class",
]

# They are there after ``import channels`` alone: code says channels.asgi.get_channel_layer().
for _name in ("asgi", "channel", "routing", "utils"):
    importlib.import_module(f"channels.{_name}")

channel_layers = importlib.import_module("channels.asgi").channel_layers
