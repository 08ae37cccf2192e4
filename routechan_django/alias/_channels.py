"""The package ``channels``; its code runs under that name after ``install()`` (AP-01)."""

import functools
import importlib
import logging

from routechan import DEFAULT_CHANNEL_LAYER, Channel, Group, include, route, route_class
from routechan_django.alias.homes import submodule

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

# LOGGING of 1.x names this logger, or leaves it to ``django``, whose handlers mail errors to the admins (AP-07).
logging.getLogger("routechan").parent = logging.getLogger("django.channels")

# Imported at once, so that a message, a channel, an exception and a layer have their dotted names of 1.x.
for _name in ("asgi", "channel", "exceptions", "message", "routing", "utils"):
    importlib.import_module(f"channels.{_name}")
importlib.import_module("asgiref.inmemory")

channel_layers = importlib.import_module("channels.asgi").channel_layers

# All other submodules come when they are asked for: ``channels.sessions`` after ``import channels`` alone.
__getattr__ = functools.partial(submodule, __name__)
