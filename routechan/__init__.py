"""The consumer model of Channels 1.x for today's Python: plain functions, reply channels, groups."""

from .app import application
from .channel import Channel, Group
from .consumers.limit import limit
from .exceptions import (
    ChannelFull,
    ChannelSocketException,
    ConsumeLater,
    DenyConnection,
    RoutechanError,
    WebsocketCloseException,
)
from .inspection import Consumer
from .layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from .message import Message
from .routing import include, route, route_class

__version__ = "0.2.0"

__all__ = [
    "DEFAULT_CHANNEL_LAYER",
    "Channel",
    "ChannelFull",
    "ChannelSocketException",
    "ConsumeLater",
    "Consumer",
    "DenyConnection",
    "Group",
    "Message",
    "RoutechanError",
    "WebsocketCloseException",
    "application",
    "channel_layers",
    "include",
    "limit",
    "route",
    "route_class",
]
