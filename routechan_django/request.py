"""``AsgiRequest``: Django's request, made from an ``http.request`` message (``consumer-api`` 6.1)."""

from __future__ import annotations

import codecs
import os
import tempfile
import time
from collections.abc import Iterable
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


class AsgiRequest(HttpRequest):
    """A request for views, from a message. Lifetime: message.

    Where the message has a ``body_channel`` the constructor waits for the rest of the body: it raises
    ``RequestTimeout`` and ``RequestAborted``, and ``WouldBlock`` on an event loop. ``KeyError`` for a message without
    ``path`` or ``method``, ``ValueError`` for what a client must not send.
    """

    #: As in ``raise request.ResponseLater`` (EX-02).
    ResponseLater = ResponseLater

    #: Seconds that the whole body may take.
    body_receive_timeout: float = 60

    _files: MultiValueDict[str, Any]

    def __init__(self, message: Message) -> None:
        # As in Django's own requests the base constructor is not called: it would make what is made here lazily.
        self.message = message
        self.reply_channel: Channel | None = message.reply_channel
        self.resolver_match = None
        self._post_parse_error = False
        self._read_started = False
        self.path = message["path"]
        self.script_name = script_name(message)
        self.path_info = _cut(self.script_name, self.path)
        self.method = message["method"].upper()
        self.META = {
            "REQUEST_METHOD": self.method,
            "QUERY_STRING": _query_string(message),
            "SCRIPT_NAME": self.script_name,
            "PATH_INFO": self.path_info,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            **_addresses(message),
            **_headers(message),
        }
        self.content_type, self.content_params = parse_header_parameters(self.META.get("CONTENT_TYPE", ""))
        self._encoding = _charset(self.content_params)
        self._content_length = _length(self.META.get("CONTENT_LENGTH", ""))
        self._stream: BinaryIO = self.receive_body()

    def receive_body(self) -> BinaryIO:
        """The whole body, waited for where it comes in chunks (HT-12 to HT-14).

        Chunks beyond ``FILE_UPLOAD_MAX_MEMORY_SIZE`` go to a temporary file, as in Django's own handler (OB-24).
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
                    body = _on_disk(body)
                more = bool(chunk.get("more_content"))
        except BaseException:
            body.close()
            raise
        body.seek(0)
        return body

    @property
    def body(self) -> bytes:
        """The whole body, after reads too. ``RequestDataTooBig`` beyond ``DATA_UPLOAD_MAX_MEMORY_SIZE`` (OB-24)."""
        if not hasattr(self, "_body"):
            position = self._stream.tell()
            self._stream.seek(0, os.SEEK_END)
            size, limit = self._stream.tell(), settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            self._stream.seek(0)
            try:
                if limit is not None and size > limit:
                    raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
                self._body = self._stream.read()
            finally:
                self._stream.seek(position)
        return self._body

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]
        return QueryDict(self.message.get("query_string", b""), encoding=self._encoding)

    @cached_property
    def COOKIES(self) -> dict[str, str]:  # type: ignore[override]
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
        """Django's parser, on the whole body even when some of it was read before (HT-16)."""
        position, read_started = self._stream.tell(), self._read_started
        self._stream.seek(0)
        self._read_started = False
        try:
            super()._load_post_and_files()
        finally:
            self._stream.seek(position)
            self._read_started = read_started

    def _get_scheme(self) -> str:
        return self.message.get("scheme") or "http"

    def close(self) -> None:
        super().close()
        self._stream.close()


def _on_disk(body: BytesIO) -> BinaryIO:
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 the request closes it
    file.write(body.getbuffer())
    return file


def script_name(message: Message) -> str:
    """The script prefix: ``FORCE_SCRIPT_NAME``, which servers of 1.x put into the message, or its ``root_path``."""
    return settings.FORCE_SCRIPT_NAME or message.get("root_path") or ""


def _cut(prefix: str, path: str) -> str:
    """``path`` without ``prefix``, which ends where a part of the path ends (OB-23)."""
    prefix = prefix.rstrip("/")
    if prefix and isinstance(path, str) and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :]
    return path


def _query_string(message: Message) -> str:
    value: str | bytes = message.get("query_string", b"")
    return value.decode() if isinstance(value, bytes) else value


def _addresses(message: Message) -> dict[str, Any]:
    client, server = message.get("client"), message.get("server")
    meta: dict[str, Any] = {}
    if client:
        meta.update(REMOTE_ADDR=client[0], REMOTE_HOST=client[0], REMOTE_PORT=client[1])
    meta["SERVER_NAME"] = server[0] if server else "unknown"
    meta["SERVER_PORT"] = str(server[1]) if server else "0"
    return meta


def _headers(message: Message) -> dict[str, str]:
    """The headers as entries of META; a dict of them becomes a list in the message itself (HT-07)."""
    headers: Iterable[tuple[bytes, bytes]] | dict[str, bytes] = message.get("headers") or []
    if isinstance(headers, dict):
        headers = [(name.encode("latin-1"), value) for name, value in headers.items()]
        message["headers"] = headers
    meta: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in ("content-length", "content-type"):
            key = name.upper().replace("-", "_")
        else:
            key = f"HTTP_{name.upper().replace('-', '_')}"
        if key in meta:
            # What HTTP/2 split is one cookie header again (RFC 9113, 8.2.3; OB-22).
            value = meta[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
        meta[key] = value
    return meta


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
