"""Django's views for messages: ``AsgiHandler``, and ``ViewConsumer`` for a route (``consumer-api`` 6).

A server gives requests to Django's own handler. These are for requests that a route takes:
``route("http.request", ViewConsumer())``, a consumer that answers with ``AsgiHandler.encode_response``, tests.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from io import BytesIO
from types import TracebackType
from typing import Any

from django import http
from django.conf import settings
from django.core import signals
from django.core.handlers import base
from django.core.handlers.exception import handle_uncaught_exception
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseServerError
from django.http.response import HttpResponseBase
from django.urls import URLResolver, get_resolver, get_urlconf, set_script_prefix
from django.utils.functional import cached_property

from routechan.encoding import Content
from routechan.exceptions import ChannelFull, RequestAborted, RequestTimeout, ResponseLater
from routechan.message import Message

from .request import AsgiRequest, script_name
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
    """Middleware and views of the project: called with a message, it generates the messages of the response.

    Nothing happens before the first of them is asked for. For plain functions; async views and middleware run too.
    Lifetime: process. ``encode_response`` can be called on the class, with any response.
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
        finally:  # taken to the end, or given up
            response.close()

    def _respond(self, message: Message) -> HttpResponseBase:
        """The response; raises ``RequestAborted`` and ``ResponseLater`` where there is to be none."""
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
        except Exception:  # what Django turns no exception into a response with has failed itself, handler500 say
            if settings.DEBUG_PROPAGATE_EXCEPTIONS:
                raise
            logger.exception("Internal Server Error: %s", request.path, extra={"status_code": 500, "request": request})
            response = self.handle_uncaught_exception(request, get_resolver(get_urlconf()), sys.exc_info())
            response._resource_closers.append(request.close)  # type: ignore[attr-defined]
            return response

    # ResponseLater. Django turns each exception that leaves a view or a middleware into a response (PL-05). So
    # middleware is given a response, as always, that stands for the later one; then it is thrown away.

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """The response of middleware and view; raises ``ResponseLater`` where the view did (HT-28)."""
        response = super().get_response(request)
        if getattr(request, "_response_later", False):
            raise ResponseLater(f"the view of {request.path} leaves the response to somebody else")
        return response

    def _get_response(self, request: HttpRequest) -> HttpResponseBase:
        """What Django puts inside of all middleware: the view, with the hooks around it."""
        request._response_later = False  # type: ignore[attr-defined]
        try:
            response: HttpResponseBase = super()._get_response(request)  # type: ignore[misc]
        except ResponseLater:
            request._response_later = True  # type: ignore[attr-defined]
            # A status and a header that no cache keeps: it must not become the answer to the next request.
            return HttpResponse(status=202, headers={"Cache-Control": "no-store"})
        return response

    def process_exception_by_middleware(self, exception: Exception, request: HttpRequest) -> HttpResponse:
        if isinstance(exception, ResponseLater):
            raise exception
        return super().process_exception_by_middleware(exception, request)

    def handle_uncaught_exception(
        self,
        request: HttpRequest,
        resolver: URLResolver,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None],
    ) -> HttpResponseBase:
        """Django's answer to an error, or plain text where that fails too (HT-31)."""
        if isinstance(exc_info[1], ResponseLater):
            raise exc_info[1]
        try:
            return handle_uncaught_exception(request, resolver, exc_info)  # type: ignore[arg-type]
        except Exception:  # the last resort, whatever it was
            text = traceback.format_exc() if settings.DEBUG else "Internal Server Error"
            return HttpResponseServerError(text, content_type="text/plain")

    # Messages

    @classmethod
    def encode_response(cls, response: HttpResponseBase) -> Iterator[Content]:
        """The messages for a reply channel that carry ``response`` (HT-33 to HT-37); it is not closed here."""
        return response_messages(response, cls.chunk_bytes)

    @classmethod
    def aencode_response(cls, response: HttpResponseBase) -> AsyncIterator[Content]:
        """``encode_response`` for async code, which an async iterator of content needs there."""
        return aresponse_messages(response, cls.chunk_bytes)

    @classmethod
    def chunk_bytes(cls, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """``data`` in chunks of ``chunk_size``, each with whether it is the last; an empty one for no data (HT-38)."""
        for start in range(0, max(len(data), 1), cls.chunk_size):
            end = start + cls.chunk_size
            yield data[start:end], end >= len(data)


class ViewConsumer:
    """A consumer for ``http.request`` that answers with the project's views. Lifetime: process.

    Middleware is loaded when it is made. It takes the message only: its route has no named groups (HT-41). What
    views send to other channels is delivered after the response (HT-40).
    """

    handler_class: type[AsgiHandler] = AsgiHandler

    #: Seconds that the reply channel may stay full before the response is given up (OB-32).
    full_timeout: float = 60

    def __init__(self) -> None:
        self.handler = self.handler_class()

    def __call__(self, message: Message) -> None:
        # Closed here and now where it is not taken to the end, not when it is collected.
        with closing(self.handler(message)) as replies:  # type: ignore[type-var]
            for reply in replies:
                if not self._send(message, reply):
                    break

    def _send(self, message: Message, reply: Content) -> bool:
        """Send at once, waiting for room; False where nobody takes what is to follow."""
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
                        "%s stayed full for %g s; the response to %s is given up",
                        channel.name,
                        self.full_timeout,
                        message.get("path"),
                    )
                    return False
                time.sleep(FULL_RETRY_INTERVAL)
