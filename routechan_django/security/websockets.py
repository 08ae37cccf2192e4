"""Checks of a page's origin around a ``websocket.connect`` consumer.

Servers of this library check the Origin of every socket already (``ROUTECHAN["ALLOWED_ORIGINS"]``). These decorators
are for consumers with a rule of their own; they also refuse clients that send no Origin.
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
    """A decorator of ``websocket.connect`` functions; a subclass defines ``validate_origin`` (SC-01).

    It does not decorate methods. The check runs on a thread, also before async consumers, so it may use the database.
    Lifetime: process.

    Args:
        func: The consumer.
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        functools.update_wrapper(self, func)
        self.func = func

    def __call__(self, message: Message, *args: Any, **kwargs: Any) -> Any:
        """Run the consumer, or raise ``DenyConnection`` for an origin that may not connect."""
        if not self.validate_origin(message, self.get_origin(message)):
            raise DenyConnection
        return self.func(message, *args, **kwargs)

    def get_header(self, message: Message, name: bytes) -> Sequence[Any]:
        """The rest of the first header called ``name``: a list of its value (SC-03).

        Args:
            message: The ``websocket.connect`` message.
            name: Lower-case bytes.

        Raises:
            KeyError: No header has this name.
        """
        for header in message.content["headers"]:
            if header and header[0] == name:
                rest: Sequence[Any] = header[1:]
                return rest
        raise KeyError(f"no header {name!r} in the message on {message.channel_name!r}")

    def get_origin(self, message: Message) -> str:
        """The origin in ``message``, such as ``https://example.com`` (SC-04).

        Raises:
            DenyConnection: There is none, or it is no ASCII text.
        """
        try:
            origin: str = self.get_header(message, b"origin")[0].decode("ascii")
        except (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise DenyConnection from error
        return origin

    def validate_origin(self, message: Message, origin: str) -> bool:
        """Whether a page of ``origin`` may connect; a subclass defines it.

        Args:
            message: The ``websocket.connect`` message.
            origin: What ``get_origin`` found in it.

        Raises:
            NotImplementedError: The subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define validate_origin(message, origin)")


class AllowedHostsOnlyOriginValidator(BaseOriginValidator):
    """Lets pages of the hosts in ``ALLOWED_HOSTS`` connect, whatever scheme and port (SC-06 to SC-09)."""

    def validate_origin(self, message: Message, origin: str) -> bool:
        """Whether the host of ``origin`` is in ``ALLOWED_HOSTS``; ``message`` is not looked at."""
        try:
            host = urlsplit(origin).hostname
        except ValueError:
            return False
        if not host:
            return False
        return validate_host(f"[{host}]" if ":" in host else host, conf.allowed_hosts())


allowed_hosts_only = AllowedHostsOnlyOriginValidator
