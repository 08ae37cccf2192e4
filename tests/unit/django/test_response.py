"""A response as messages: ``encode_response`` and its async twin."""

from __future__ import annotations

import io
import itertools
from collections.abc import AsyncIterator, Callable
from http import cookies
from pathlib import Path
from typing import Any

import pytest
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.test import override_settings

from routechan.encoding import Content
from routechan.exceptions import WouldBlock
from routechan.layers import SyncChannelLayer
from routechan_django.handler import AsgiHandler

from .helpers import http_request

CHUNK = 512 * 1024


class Small(AsgiHandler):
    chunk_size = 30


@override_settings(MIDDLEWARE=[])
def answered(response: HttpResponseBase, chunk_size: int = CHUNK) -> list[Content]:
    """The messages that carry a response, through a handler that answers with it, as the tests of 1.x do."""

    class Fixed(AsgiHandler):
        def get_response(self, request: HttpRequest) -> HttpResponseBase:
            return response

    Fixed.chunk_size = chunk_size
    return list(Fixed()(http_request()))


def headers_of(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = answered(response)[0]["headers"]
    return headers


def test_basic(default_layer: SyncChannelLayer) -> None:
    """HT-33, HT-34: one message; exactly one header."""
    assert answered(HttpResponse(b"Hi there!", content_type="text/plain")) == [
        {"status": 200, "headers": [(b"Content-Type", b"text/plain")], "content": b"Hi there!", "more_content": False}
    ]


def test_cookies(default_layer: SyncChannelLayer) -> None:
    """HT-34: behind the other headers, one for each, as Python writes them: with a space in front."""
    response = HttpResponse(b"Hi there!", content_type="text/plain")
    response.set_signed_cookie("foo", "bar", max_age=3600, path="/")
    response.set_cookie("other", "x")
    headers = headers_of(response)
    jar = cookies.SimpleCookie(response.cookies)
    assert [name for name, _ in headers] == [b"Content-Type", b"Set-Cookie", b"Set-Cookie"]
    assert (b"Set-Cookie", jar["foo"].output(header="").encode("ascii")) in headers
    assert headers[2] == (b"Set-Cookie", b" other=x; Path=/")


def test_headers(default_layer: SyncChannelLayer) -> None:
    """HT-34: case kept, numbers as text, latin-1 values; deleted and never set ones are absent."""
    response = HttpResponse()
    response["Allow"] = 1
    response["X-lower-UPPER"] = "é"
    response["Gone"] = "x"
    del response["Gone"]
    del response["Never"]
    assert dict(headers_of(response)) == {
        b"Content-Type": b"text/html; charset=utf-8",
        b"Allow": b"1",
        b"X-lower-UPPER": b"\xe9",
    }


@pytest.mark.parametrize("url", ["/", "..", "https://example.com"])
def test_redirect(default_layer: SyncChannelLayer, url: str) -> None:
    """HT-34: the location as given."""
    response = HttpResponseRedirect(url)
    assert answered(response)[0]["status"] == 302
    assert dict(headers_of(response))[b"Location"] == url.encode()


LINES = [b"" if number == 3 else b"Line: %d" % number for number in range(10)]


@pytest.mark.parametrize(
    ("response", "chunk_size", "contents"),
    [
        pytest.param(
            lambda: HttpResponse(b"Thefirstthirtybytesisrighthereandhereistherest!"),
            30,
            [b"Thefirstthirtybytesisrighthere", b"andhereistherest!"],
            id="HT-35: 47 bytes in chunks of 30",
        ),
        pytest.param(lambda: HttpResponse(b"", status=304), CHUNK, [b""], id="HT-35: empty"),
        pytest.param(lambda: HttpResponse(range(10)), CHUNK, [b"0123456789"], id="HT-35: an iterator, no stream"),
        pytest.param(lambda: JsonResponse({"foo": (1, 2)}), CHUNK, [b'{"foo": [1, 2]}'], id="HT-35: JSON"),
        pytest.param(lambda: StreamingHttpResponse([]), CHUNK, [None], id="HT-36: no parts, no content"),
        pytest.param(lambda: StreamingHttpResponse(LINES), CHUNK, [*LINES, None], id="HT-36: an empty part too"),
        pytest.param(
            lambda: StreamingHttpResponse([b"a" * 31, b"b"]),
            30,
            [b"a" * 30, b"a", b"b", None],
            id="HT-36: each part is split on its own",
        ),
        pytest.param(
            lambda: FileResponse(io.BytesIO(b"sadfdasfsdfsadf")), CHUNK, [b"sadfdasfsdfsadf", None], id="HT-37: bytes"
        ),
        pytest.param(lambda: FileResponse("abcd"), CHUNK, [b"a", b"b", b"c", b"d", None], id="HT-37: a text"),
    ],
)
def test_contents(
    default_layer: SyncChannelLayer,
    response: Callable[[], HttpResponseBase],
    chunk_size: int,
    contents: list[bytes | None],
) -> None:
    """HT-35 to HT-37: the content of each message; the first alone has status and headers, the last ends it."""
    made = answered(response(), chunk_size)
    assert [reply.get("content") for reply in made] == contents
    assert [reply["more_content"] for reply in made] == [True] * (len(contents) - 1) + [False]
    first, *others = made
    assert first["status"] == response().status_code
    assert [set(reply) - {"content"} for reply in others] == [{"more_content"}] * len(others)


def test_chunk_bytes() -> None:
    """HT-38: empty, below, exactly and above the size."""
    assert list(Small.chunk_bytes(b"")) == [(b"", True)]
    assert list(Small.chunk_bytes(b"abcd")) == [(b"abcd", True)]
    assert list(Small.chunk_bytes(b"a" * 30)) == [(b"a" * 30, True)]
    assert list(Small.chunk_bytes(b"a" * 31)) == [(b"a" * 30, False), (b"a", True)]
    assert AsgiHandler.chunk_size == CHUNK


def async_parts(count: int, closed: list[str]) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        try:
            for number in range(count):
                yield b"%d" % number
        finally:
            closed.append("closed")

    return StreamingHttpResponse(parts())


@pytest.mark.parametrize("taken", [1, 5])
def test_async_parts(default_layer: SyncChannelLayer, taken: int) -> None:
    """HT-36 for async iterators: part by part, not collected first, and closed when given up."""
    closed: list[str] = []
    messages: Any = AsgiHandler.encode_response(async_parts(3 if taken == 5 else 10**9, closed))
    made = list(itertools.islice(messages, taken))
    messages.close()
    assert [reply.get("content") for reply in made] == [b"0", b"1", b"2", None][:taken]
    assert closed == ["closed"]


async def test_async_consumers_encode_responses(default_layer: SyncChannelLayer) -> None:
    """HT-39: any response, on the loop; an async iterator needs the async twin there, and the other name says so."""
    plain = HttpResponse(b"x" * 31)
    assert [reply async for reply in Small.aencode_response(plain)] == list(Small.encode_response(plain))
    closed: list[str] = []
    made = [reply async for reply in AsgiHandler.aencode_response(async_parts(2, closed))]
    assert [(reply.get("status"), reply.get("content")) for reply in made] == [(200, b"0"), (None, b"1"), (None, None)]
    assert closed == ["closed"]
    with pytest.raises(WouldBlock, match=r"AsgiHandler\.aencode_response"):
        list(AsgiHandler.encode_response(async_parts(2, closed)))


def test_real_file_response(default_layer: SyncChannelLayer) -> None:
    """HT-37, HT-29, PL-15: a file of a few kB is one chunk and an end; its length is among the headers."""
    response = FileResponse(open(__file__, "rb"))  # noqa: SIM115 the response closes it
    first, last = answered(response)
    assert first["content"] == Path(__file__).read_bytes()
    assert (b"Content-Length", b"%d" % len(first["content"])) in first["headers"]
    assert last == {"more_content": False}
    assert response.getvalue() == b""
    assert response.block_size == 512 * 1024


def test_non_streaming_file_response(default_layer: SyncChannelLayer) -> None:
    """HT-37: a file response that claims to be no stream has no content."""
    response = FileResponse(io.BytesIO(b"sadfdasfsdfsadf"))
    response.streaming = False  # type: ignore[misc]
    with pytest.raises(AttributeError):
        answered(response)


def test_unclosable_filelike_object(default_layer: SyncChannelLayer) -> None:
    """HT-37: what can only be read, and gives nothing, is one message; closing works."""

    class Readable:
        def read(self, size: int) -> bytes:
            return b""

    response = FileResponse(Readable())
    assert len(answered(response)) == 1
    response.close()


def test_any_response_can_be_encoded() -> None:
    """HT-39, HT-22: on the class, in any consumer; the response is not closed."""
    response = HttpResponse("by hand")
    [reply] = AsgiHandler.encode_response(response)
    assert reply["content"] == b"by hand"
    assert not response.closed
