"""A WebSocket protocol of our own for uvicorn, on picows: ``uvicorn --ws routechan.server:WebSocketProtocol``.

It serves any ASGI application, and needs the extra ``fast``.
"""

from ..exceptions import MissingExtra

try:
    import picows  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtra("the WebSocket protocol of routechan needs the packages uvicorn and picows", "fast") from error

from .protocol import WebSocketProtocol

__all__ = ["WebSocketProtocol"]
