"""``AsgiRequest``: Django's request, made from an ``http.request`` message (``consumer-api`` 6.1)."""

from __future__ import annotations

import codecs
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, QueryDict, parse_cookie
from django.utils.datastructures import MultiValueDict
from django.utils.functional import cached_property
from django.utils.http import parse_header_parameters

from routechan.channel import Channel
from routechan.exceptions import RequestAborted, RequestTimeout, ResponseLater
from routechan.message import Message

from . import environ


class AsgiRequest(HttpRequest):
    """A request for views, made from a message. Lifetime: message.

    Where the message has a ``body_channel`` the constructor waits for the rest of the body.

    Args:
        message: An ``http.request`` message. ``message`` and ``reply_channel`` are attributes of the request.

    Raises:
        KeyError: The message has no ``path`` or no ``method``.
        ValueError: The client sent what no request may have.
        RequestTimeout: The body was not complete within ``body_receive_timeout``.
        RequestAborted: The client left before the body was complete.
        WouldBlock: It would have to wait for the body on an event loop.
    """

    #: For ``raise request.ResponseLater`` in a view (EX-02).
    ResponseLater = ResponseLater

    #: Seconds within which the whole body has to arrive.
    body_receive_timeout: float = 60

    _files: MultiValueDict[str, Any]

    def __init__(self, message: Message) -> None:
        # Like Django's own requests this does not call the base constructor, which would set GET, COOKIES and META.
        self.message = message
        self.reply_channel: Channel | None = message.reply_channel
        self.resolver_match = None
        self._post_parse_error = False
        self._read_started = False
        self.META = environ.meta(message)
        self.path = environ.full_path(message)
        self.method = self.META["REQUEST_METHOD"]
        self.script_name = self.META["SCRIPT_NAME"]
        self.path_info = self.META["PATH_INFO"]
        self.content_type, self.content_params = parse_header_parameters(self.META.get("CONTENT_TYPE", ""))
        self._encoding = _charset(self.content_params)
        self._content_length = _length(self.META.get("CONTENT_LENGTH", ""))
        self._stream: BinaryIO = self.receive_body()

    def receive_body(self) -> BinaryIO:
        """The whole body as a file; waits for all of its chunks (HT-12 to HT-14).

        A body beyond ``FILE_UPLOAD_MAX_MEMORY_SIZE`` goes to a temporary file, as in Django's own handler (OB-24).

        Raises:
            RequestTimeout: It was not complete within ``body_receive_timeout``.
            RequestAborted: The client left before it was complete.
        """
        first = _bytes(self.message.get("body", b""), "'body'")
        channel = self.message.get("body_channel")
        if not channel:
            return BytesIO(first)
        layer = self.message.channel_layer
        if layer is None:
            layer = self.message.channel.channel_layer
        body: BinaryIO = BytesIO()
        try:
            body.write(first)
            deadline = time.monotonic() + self.body_receive_timeout
            more = True
            while more:
                if time.monotonic() >= deadline:
                    raise RequestTimeout(f"the body did not come within {self.body_receive_timeout:g} s")
                name, chunk = layer.receive([channel], block=True)
                if name is None:
                    continue
                if chunk.get("closed"):
                    raise RequestAborted("the client left before the body was complete")
                body.write(_bytes(chunk.get("content"), "'content' of a body chunk"))
                if isinstance(body, BytesIO) and body.tell() > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
                    body = _move_to_disk(body)
                more = bool(chunk.get("more_content"))
        except BaseException:
            body.close()
            raise
        body.seek(0)
        return body

    @property
    def body(self) -> bytes:
        """The whole body, also after some of it was read.

        Raises:
            RequestDataTooBig: It is longer than ``DATA_UPLOAD_MAX_MEMORY_SIZE`` (OB-24).
        """
        if not hasattr(self, "_body"):
            with self._position_kept():
                size, limit = self._stream.seek(0, os.SEEK_END), settings.DATA_UPLOAD_MAX_MEMORY_SIZE
                if limit is not None and size > limit:
                    raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
                self._stream.seek(0)
                self._body = self._stream.read()
        return self._body

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]
        """The parameters of the query string."""
        return QueryDict(self.message.get("query_string", b""), encoding=self._encoding)

    @cached_property
    def COOKIES(self) -> dict[str, str]:  # type: ignore[override]
        """The cookies by name."""
        return parse_cookie(self.META.get("HTTP_COOKIE", ""))

    def _get_post(self) -> QueryDict:
        if not hasattr(self, "_post"):
            self._load_post_and_files()
        return self._post

    def _set_post(self, post: QueryDict) -> None:
        self._post = post

    def _get_files(self) -> MultiValueDict[str, Any]:
        if not hasattr(self, "_files"):
            self._load_post_and_files()
        return self._files

    POST = property(_get_post, _set_post)
    FILES = property(_get_files)

    def _load_post_and_files(self) -> None:
        """Parse the form of the whole body, also after some of it was read (HT-16)."""
        read_started = self._read_started
        with self._position_kept():
            self._stream.seek(0)
            self._read_started = False
            try:
                super()._load_post_and_files()
            finally:
                self._read_started = read_started

    @contextmanager
    def _position_kept(self) -> Iterator[None]:
        position = self._stream.tell()
        try:
            yield
        finally:
            self._stream.seek(position)

    def _get_scheme(self) -> str:
        return self.message.get("scheme") or "http"

    def close(self) -> None:
        """Close the body and the uploaded files."""
        super().close()
        self._stream.close()


def _move_to_disk(body: BytesIO) -> BinaryIO:
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 the request closes it
    file.write(body.getbuffer())
    return file


def _charset(content_params: dict[str, str]) -> str | None:
    charset = content_params.get("charset")
    try:
        return charset and codecs.lookup(charset) and charset
    except (LookupError, ValueError):  # unknown; no name at all
        return None


def _length(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        return 0


def _bytes(value: object, what: str) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{what} of a request has to be bytes, not {type(value).__name__}")
    return value
