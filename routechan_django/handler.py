"""Django's views for messages: ``AsgiHandler``, and ``ViewConsumer`` for a route (``consumer-api`` 6).

A server passes requests to Django's own handler. These are for requests that a route takes, as in
``route("http.request", ViewConsumer())``, for consumers that use ``AsgiHandler.encode_response``, and for tests.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from inspect import iscoroutinefunction
from io import BytesIO
from types import TracebackType
from typing import Any

from django import http
from django.conf import settings
from django.core import signals
from django.core.handlers import base
from django.core.handlers import exception as exception_module
from django.core.handlers.exception import handle_uncaught_exception
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseServerError
from django.http.response import HttpResponseBase
from django.urls import URLResolver, get_resolver, get_urlconf, set_script_prefix
from django.utils.functional import cached_property

from routechan.encoding import Content
from routechan.exceptions import ChannelFull, RequestAborted, RequestTimeout, ResponseLater
from routechan.message import Message

from .environ import script_name
from .request import AsgiRequest
from .response import aresponse_messages, response_messages

__all__ = [
    "AsgiHandler",
    "AsgiRequest",
    "BytesIO",
    "FileResponse",
    "HttpResponse",
    "HttpResponseServerError",
    "RequestAborted",
    "RequestTimeout",
    "ResponseLaterOuter",
    "ViewConsumer",
    "base",
    "cached_property",
    "http",
    "logger",
    "set_script_prefix",
    "signals",
]

logger = logging.getLogger("django.request")

ResponseLaterOuter = ResponseLater  # the name 1.x had for it in this module

#: Bytes read from a file at a time (HT-29).
FILE_BLOCK_SIZE = 512 * 1024

#: Seconds between two tries to send to a full reply channel (HT-40).
FULL_RETRY_INTERVAL = 0.05


class AsgiHandler(base.BaseHandler):
    """The project's middleware and views as a function from a message to the messages of the response.

    Calling it gives a generator; the view runs when the first message is taken. It is for plain functions; async views
    and middleware run too. ``encode_response`` is a class method for any response. Lifetime: process.

    Args:
        *args: Unused, as in 1.x.
        **kwargs: Unused, as in 1.x.
    """

    request_class: type[AsgiRequest] = AsgiRequest

    #: Bytes of content in one message.
    chunk_size = 512 * 1024

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.load_middleware()

    def __call__(self, message: Message) -> Iterator[Content]:
        set_script_prefix(script_name(message))
        signals.request_started.send(sender=self.__class__, message=message)
        try:
            response = self._respond(message)
        except (RequestAborted, ResponseLater):
            return
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        if isinstance(response, FileResponse):
            response.block_size = FILE_BLOCK_SIZE
        try:
            yield from self.encode_response(response)
        finally:  # also where the caller takes no more messages
            response.close()

    def _respond(self, message: Message) -> HttpResponseBase:
        """The response; ``RequestAborted`` and ``ResponseLater`` say that none is to be sent."""
        try:
            request = self.request_class(message)
        except RequestTimeout:
            return HttpResponse("408 Request Timeout: the body did not come in time", status=408)
        except ValueError as error:  # UnicodeDecodeError is one
            logger.warning("Bad Request (%s)", type(error).__name__, exc_info=True, extra={"status_code": 400})
            return http.HttpResponseBadRequest()
        try:
            return self.get_response(request)
        except (RequestAborted, ResponseLater):
            raise
        except Exception:  # what Django uses to answer an exception has failed itself, such as handler500
            if settings.DEBUG_PROPAGATE_EXCEPTIONS:
                raise
            logger.exception("Internal Server Error: %r", request.path, extra={"status_code": 500, "request": request})
            response = self.handle_uncaught_exception(request, get_resolver(get_urlconf()), sys.exc_info())
            response._resource_closers.append(request.close)  # type: ignore[attr-defined]
            return response

    # ResponseLater: Django turns each exception that leaves a view or a middleware into a response (PL-05). Middleware
    # therefore gets a placeholder response, which ``get_response`` discards.

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """The response of middleware and view; raises ``ResponseLater`` where one of them raised it (HT-28)."""
        request._response_later = False  # type: ignore[attr-defined]
        response = super().get_response(request)
        if request._response_later:  # type: ignore[attr-defined]
            raise ResponseLater(f"the view of {request.path} leaves the response to somebody else")
        return response

    def adapt_method_mode(self, is_async: bool, method: Any, *args: Any, **kwargs: Any) -> Any:
        """As Django's, which calls it with each step of the chain; a middleware in ``method`` may raise it too."""
        return super().adapt_method_mode(is_async, _with_placeholder(method), *args, **kwargs)

    def _get_response(self, request: HttpRequest) -> HttpResponseBase:
        """The innermost step, inside all middleware: the view with its hooks."""
        request._response_later = False  # type: ignore[attr-defined]
        try:
            response: HttpResponseBase = super()._get_response(request)  # type: ignore[misc]
        except ResponseLater:
            return _placeholder(request)
        return response

    def process_exception_by_middleware(self, exception: Exception, request: HttpRequest) -> HttpResponse:
        """The response of a middleware for ``exception``; ``ResponseLater`` reaches no middleware."""
        if isinstance(exception, ResponseLater):
            raise exception
        return super().process_exception_by_middleware(exception, request)

    def handle_uncaught_exception(
        self,
        request: HttpRequest,
        resolver: URLResolver,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None],
    ) -> HttpResponseBase:
        """The response to an error: Django's, or plain text where making that one fails too (HT-31).

        Args:
            request: The request.
            resolver: The resolver of its URLs.
            exc_info: The error, as ``sys.exc_info()`` returns it. ``ResponseLater`` is raised again.
        """
        if isinstance(exc_info[1], ResponseLater):
            raise exc_info[1]
        try:
            return handle_uncaught_exception(request, resolver, exc_info)  # type: ignore[arg-type]
        except Exception:  # whatever it was, the client gets a response
            text = traceback.format_exc() if settings.DEBUG else "Internal Server Error"
            return HttpResponseServerError(text, content_type="text/plain")

    # Messages

    @classmethod
    def encode_response(cls, response: HttpResponseBase) -> Iterator[Content]:
        """The messages for a reply channel that carry ``response`` (HT-33 to HT-37).

        The response is not closed.
        """
        return response_messages(response, cls.chunk_bytes)

    @classmethod
    def aencode_response(cls, response: HttpResponseBase) -> AsyncIterator[Content]:
        """The messages of ``encode_response``, for async code: ``response`` may have an async iterator there."""
        return aresponse_messages(response, cls.chunk_bytes)

    @classmethod
    def chunk_bytes(cls, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """The chunks of ``data``, of ``chunk_size`` bytes, as pairs ``(chunk, is_last)``; one for no data (HT-38)."""
        for start in range(0, max(len(data), 1), cls.chunk_size):
            end = start + cls.chunk_size
            yield data[start:end], end >= len(data)


def _placeholder(request: HttpRequest) -> HttpResponse:
    request._response_later = True  # type: ignore[attr-defined]
    # It must not be cached: it would answer the next request.
    return HttpResponse(status=202, headers={"Cache-Control": "no-store"})


def _with_placeholder(step: Any) -> Any:
    """``step`` with a placeholder for ``ResponseLater``, where it is a middleware around which Django makes responses.

    Anything else is returned as it is.
    """
    if getattr(step, "__globals__", None) is not vars(exception_module):
        return step
    middleware = step.__wrapped__
    if iscoroutinefunction(step):

        async def astep(request: HttpRequest) -> HttpResponseBase:
            try:
                response: HttpResponseBase = await middleware(request)
            except ResponseLater:
                return _placeholder(request)
            return response

        return exception_module.convert_exception_to_response(astep)

    def guarded(request: HttpRequest) -> HttpResponseBase:
        try:
            response: HttpResponseBase = middleware(request)
        except ResponseLater:
            return _placeholder(request)
        return response

    return exception_module.convert_exception_to_response(guarded)


class ViewConsumer:
    """A consumer for ``http.request`` that answers with the project's views. Lifetime: process.

    The constructor loads the middleware. A ViewConsumer takes a message only, so its route has no named groups
    (HT-41). Messages that views send to other channels are delivered after the response (HT-40).
    """

    handler_class: type[AsgiHandler] = AsgiHandler

    #: Seconds that the reply channel may stay full; then the rest of the response is dropped (OB-32).
    full_timeout: float = 60

    def __init__(self) -> None:
        self.handler = self.handler_class()

    def __call__(self, message: Message) -> None:
        # ``closing``: a response that is dropped midway is closed now, not when the generator is collected.
        with closing(self.handler(message)) as replies:  # type: ignore[type-var]
            for reply in replies:
                if not self._send(message, reply):
                    break

    def _send(self, message: Message, reply: Content) -> bool:
        """Send ``reply`` at once, waiting for room.

        False: drop the rest of the response.
        """
        channel = message.reply_channel
        if channel is None:
            raise TypeError("a ViewConsumer answers to the reply channel of a message, and this one has none")
        full = ChannelFull, getattr(channel.channel_layer, "ChannelFull", ChannelFull)
        deadline = time.monotonic() + self.full_timeout
        while True:
            try:
                channel.send(reply, immediately=True)
                return not (channel.closed and reply.get("more_content"))
            except full:
                if time.monotonic() >= deadline:
                    logger.warning(
                        "%s stayed full for %g s; the response to %r is given up",
                        channel.name,
                        self.full_timeout,
                        message.get("path"),
                    )
                    return False
                time.sleep(FULL_RETRY_INTERVAL)
