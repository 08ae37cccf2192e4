"""Clients that send messages to consumers and read the replies, with no server, loop or thread."""

from .client import Client
from .layers import fresh_layer
from .websocket import WSClient

__all__ = ["Client", "WSClient", "fresh_layer"]
