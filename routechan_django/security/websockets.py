"""May a page of this origin open a socket? A check around a ``websocket.connect`` consumer.

Servers of this library check the Origin of every socket already (``ROUTECHAN["ALLOWED_ORIGINS"]``); these are for
consumers with a rule of their own, and refuse clients that send no Origin too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.http.request import validate_host

from routechan import DenyConnection, Message

from .. import conf


class BaseOriginValidator:
    """Decorates a ``websocket.connect`` function; ``validate_origin`` of a subclass says who may connect (SC-01).

    Not for methods. The check runs on a thread, before async consumers too, so it may use the database.
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        functools.update_wrapper(self, func)
        self.func = func

    def __call__(self, message: Message, *args: Any, **kwargs: Any) -> Any:
        """Run the consumer, or raise ``DenyConnection``."""
        if not self.validate_origin(message, self.get_origin(message)):
            raise DenyConnection
        return self.func(message, *args, **kwargs)

    def get_header(self, message: Message, name: bytes) -> Sequence[Any]:
        """What follows the name in the first header called ``name`` (lower-case bytes), else ``KeyError`` (SC-03)."""
        for header in message.content["headers"]:
            if header and header[0] == name:
                rest: Sequence[Any] = header[1:]
                return rest
        raise KeyError(f"no header {name!r} in the message on {message.channel_name!r}")

    def get_origin(self, message: Message) -> str:
        """The page's origin, such as ``https://example.com``; ``DenyConnection`` where it cannot be told (SC-04)."""
        try:
            origin: str = self.get_header(message, b"origin")[0].decode("ascii")
        except (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise DenyConnection from error
        return origin

    def validate_origin(self, message: Message, origin: str) -> bool:
        """Whether a page of ``origin`` may connect."""
        raise NotImplementedError(f"{type(self).__name__} must define validate_origin(message, origin)")


class AllowedHostsOnlyOriginValidator(BaseOriginValidator):
    """Only pages of the hosts in ``ALLOWED_HOSTS``; scheme and port do not matter (SC-06 to SC-09)."""

    def validate_origin(self, message: Message, origin: str) -> bool:
        try:
            host = urlsplit(origin).hostname
        except ValueError:
            return False
        if not host:
            return False
        return validate_host(f"[{host}]" if ":" in host else host, conf.allowed_hosts())


allowed_hosts_only = AllowedHostsOnlyOriginValidator
