"""Clients that send messages to consumers and read the replies, with no server, loop or thread."""

from .client import Client, fresh_layer
from .sent import sent
from .websocket import WSClient

__all__ = ["Client", "WSClient", "fresh_layer", "sent"]
