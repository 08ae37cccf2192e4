"""The server face: ASGI 3 on one side, 1.x messages on the other."""

from .application import Application
from .server import Consumers, Line, Outlet, ServerOptions

__all__ = ["Application", "Consumers", "Line", "Outlet", "ServerOptions"]
