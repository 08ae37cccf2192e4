"""The ASGI application: translates between ASGI 3 events and the messages of Channels 1.x."""

from .application import Application
from .options import ServerOptions

__all__ = ["Application", "ServerOptions"]
