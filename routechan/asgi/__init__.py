"""The server face: ASGI 3 on one side, 1.x messages on the other."""

from .application import Application
from .server import ServerOptions

__all__ = ["Application", "ServerOptions"]
