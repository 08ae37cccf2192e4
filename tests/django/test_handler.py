"""``AsgiHandler``: a message in, the messages of the response out."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import AsyncIterator, Iterator
from http import cookies
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core import signals
from django.core.cache import cache
from django.core.exceptions import BadRequest
from django.db import connection, reset_queries
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
from django.urls import get_resolver, get_script_prefix, set_script_prefix

from routechan import Message
from routechan.encoding import Content
from routechan.exceptions import ResponseLater, WouldBlock
from routechan.layers import SyncChannelLayer
from routechan_django import handler as handler_module
from routechan_django.handler import AsgiHandler, AsgiRequest

from .handler_urls import events

HERE = "tests.django.handler_urls"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    """The views and all of the middleware that follows."""
    middleware = [
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.cache.UpdateCacheMiddleware",
        f"{HERE}.asynchronous",
        SESSIONS,
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{HERE}.once_more",
        f"{HERE}.Recording",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.gzip.GZipMiddleware",
    ]
    events.clear()
    cache.clear()
    with override_settings(ROOT_URLCONF=HERE, MIDDLEWARE=middleware):
        yield
    set_script_prefix("/")


def message(path: str = "/test/", layer: SyncChannelLayer | None = None, **content: Any) -> Message:
    path, _, query = path.partition("?")
    return Message(
        {
            "reply_channel": "test-reply",
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [[b"host", b"testserver"]],
            **content,
        },
        "http.request",
        layer,
    )


def replies(path: str = "/test/", handler: type[AsgiHandler] = AsgiHandler, **content: Any) -> list[Content]:
    return list(handler()(message(path, **content)))


class Fixed(AsgiHandler):
    """Answers with one response, as the tests of 1.x do."""

    response: HttpResponseBase

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        return self.response


class Small(AsgiHandler):
    chunk_size = 30


def answered(response: HttpResponseBase, chunk_size: int = 512 * 1024) -> list[Content]:
    """The messages that carry a response, through a handler."""
    kind = type("Kind", (Fixed,), {"response": response, "chunk_size": chunk_size})
    return replies(handler=kind)


# One response as messages


def test_basic(default_layer: SyncChannelLayer) -> None:
    """HT-33, HT-34: one message; exactly one header."""
    [reply] = answered(HttpResponse(b"Hi there!", content_type="text/plain"))
    assert reply == {
        "status": 200,
        "headers": [(b"Content-Type", b"text/plain")],
        "content": b"Hi there!",
        "more_content": False,
    }


def test_cookies(default_layer: SyncChannelLayer) -> None:
    """HT-34: behind the other headers, one for each, as Python writes them: with a space in front."""
    response = HttpResponse(b"Hi there!", content_type="text/plain")
    response.set_signed_cookie("foo", "bar", max_age=3600, path="/")
    response.set_cookie("other", "x")
    [reply] = answered(response)
    jar = cookies.SimpleCookie(response.cookies)
    assert [name for name, _ in reply["headers"]] == [b"Content-Type", b"Set-Cookie", b"Set-Cookie"]
    assert (b"Set-Cookie", jar["foo"].output(header="").encode("ascii")) in reply["headers"]
    assert reply["headers"][2] == (b"Set-Cookie", b" other=x; Path=/")


def test_headers(default_layer: SyncChannelLayer) -> None:
    """HT-34: case kept, numbers as text, latin-1 values; deleted and never set ones are absent."""
    response = HttpResponse()
    response["Allow"] = 1
    response["X-lower-UPPER"] = "é"
    response["Gone"] = "x"
    del response["Gone"]
    del response["Never"]
    [reply] = answered(response)
    headers = dict(reply["headers"])
    assert headers == {b"Content-Type": b"text/html; charset=utf-8", b"Allow": b"1", b"X-lower-UPPER": b"\xe9"}


def test_large(default_layer: SyncChannelLayer) -> None:
    """HT-35: 47 bytes in chunks of 30 are two messages; the second has no status."""
    first, second = answered(HttpResponse(b"Thefirstthirtybytesisrighthereandhereistherest!"), 30)
    assert (first["content"], first["more_content"]) == (b"Thefirstthirtybytesisrighthere", True)
    assert second == {"content": b"andhereistherest!", "more_content": False}


def test_empty(default_layer: SyncChannelLayer) -> None:
    """HT-35: one message with empty content."""
    [reply] = answered(HttpResponse(b"", status=304))
    assert (reply["status"], reply["content"], reply["more_content"]) == (304, b"", False)


def test_empty_streaming(default_layer: SyncChannelLayer) -> None:
    """HT-36: no parts, no content."""
    [reply] = answered(StreamingHttpResponse([]))
    assert (reply["status"], reply["more_content"]) == (200, False)
    assert "content" not in reply


def test_chunk_bytes() -> None:
    """HT-38: empty, below, exactly and above the size."""
    assert list(Small.chunk_bytes(b"")) == [(b"", True)]
    assert list(Small.chunk_bytes(b"abcd")) == [(b"abcd", True)]
    assert list(Small.chunk_bytes(b"a" * 30)) == [(b"a" * 30, True)]
    assert list(Small.chunk_bytes(b"a" * 31)) == [(b"a" * 30, False), (b"a", True)]
    assert AsgiHandler.chunk_size == 512 * 1024


def test_iterator(default_layer: SyncChannelLayer) -> None:
    """HT-35: what is no stream is one message."""
    [reply] = answered(HttpResponse(range(10)))
    assert (reply["content"], reply["more_content"]) == (b"0123456789", False)


def test_streaming_data(default_layer: SyncChannelLayer) -> None:
    """HT-36: ten parts, an empty one among them, are eleven messages."""
    made = answered(StreamingHttpResponse([b"" if n == 3 else b"Line: %d" % n for n in range(10)]))
    assert len(made) == 11
    assert made[0]["content"] == b"Line: 0"
    assert made[3] == {"content": b"", "more_content": True}
    assert made[9] == {"content": b"Line: 9", "more_content": True}
    assert made[10] == {"more_content": False}


def test_a_large_part(default_layer: SyncChannelLayer) -> None:
    """HT-36: each part is cut on its own."""
    made = answered(StreamingHttpResponse([b"a" * 31, b"b"]), 30)
    assert [reply.get("content") for reply in made] == [b"a" * 30, b"a", b"b", None]


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
    messages = AsgiHandler.encode_response(async_parts(3 if taken == 5 else 10**9, closed))
    made = []
    for reply in messages:
        made.append(reply)
        if len(made) == taken:
            break
    messages.close()  # type: ignore[attr-defined]
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


def test_bytes_file_response(default_layer: SyncChannelLayer) -> None:
    """HT-37: two messages."""
    assert len(answered(FileResponse(io.BytesIO(b"sadfdasfsdfsadf")))) == 2


def test_string_file_response(default_layer: SyncChannelLayer) -> None:
    """HT-37: a text is iterated, one message for each character."""
    assert len(answered(FileResponse("abcd"))) == 5


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


def test_json_response(default_layer: SyncChannelLayer) -> None:
    """HT-35."""
    [reply] = answered(JsonResponse({"foo": (1, 2)}))
    assert reply["content"] == b'{"foo": [1, 2]}'


@pytest.mark.parametrize("url", ["/", "..", "https://example.com"])
def test_redirect(default_layer: SyncChannelLayer, url: str) -> None:
    """HT-34: the location as given."""
    [reply] = answered(HttpResponseRedirect(url))
    assert reply["status"] == 302
    assert dict(reply["headers"])[b"Location"] == url.encode()


def test_any_response_can_be_encoded() -> None:
    """HT-39, HT-22: on the class, in any consumer; the response is not closed."""
    response = HttpResponse("by hand")
    [reply] = AsgiHandler.encode_response(response)
    assert reply["content"] == b"by hand"
    assert not response.closed


# The handler


def body(made: list[Content]) -> bytes:
    return b"".join(reply.get("content", b"") for reply in made)


@pytest.mark.parametrize(("path", "content"), [("/hello/", b"hello /hello/"), ("/ahello/", b"hello from async")])
def test_views(default_layer: SyncChannelLayer, path: str, content: bytes) -> None:
    """HT-24: plain and async views, through plain and async middleware."""
    [reply] = replies(path)
    assert (reply["status"], reply["content"]) == (200, content)
    assert (b"X-Async", b"yes") in reply["headers"]
    assert (b"X-Frame-Options", b"DENY") in reply["headers"]


def test_nothing_happens_before_the_first_message(default_layer: SyncChannelLayer) -> None:
    """HT-22: calling the handler gives a generator."""
    made = AsgiHandler()(message("/hello/"))
    assert events == []
    next(made)
    assert events == [200]


def test_signals(default_layer: SyncChannelLayer) -> None:
    """HT-23, HT-24: started before the request is made, finished when the last message was taken."""
    seen: list[Any] = []

    def started(**given: Any) -> None:
        seen.append(("started", given["sender"], given["message"]["path"], "environ" in given, list(events)))

    def finished(sender: type, **_: Any) -> None:
        seen.append(("finished", sender))

    signals.request_started.connect(started)
    signals.request_finished.connect(finished)
    try:
        made = AsgiHandler()(message("/stream/?parts=2"))
        next(made)
        next(made)
        assert seen == [("started", AsgiHandler, "/stream/", False, [])]
        assert len(list(made)) == 1
        assert seen[1:] == [("finished", AsgiHandler)]
    finally:
        signals.request_started.disconnect(started)
        signals.request_finished.disconnect(finished)


def test_djangos_own_receivers(default_layer: SyncChannelLayer) -> None:
    """HT-23: they do their work without an ``environ``: queries are forgotten, say."""
    with override_settings(DEBUG=True):
        connection.queries_log.append({"sql": "x", "time": "0"})
        assert reset_queries in [ref() for _, ref, *_ in signals.request_started.receivers]
        replies("/hello/")
        assert not connection.queries_log


def test_a_response_given_up_is_closed(default_layer: SyncChannelLayer) -> None:
    """HT-24: the generator of a stream ends with the generator of messages."""
    made = AsgiHandler()(message("/stream/?parts=1000"))
    next(made)
    assert "closed" not in events
    made.close()  # type: ignore[attr-defined]
    assert events[-1] == "closed"


@pytest.mark.parametrize("path", ["/stream/?parts=1000", "/astream/?parts=50"])
def test_long_streams(default_layer: SyncChannelLayer, path: str) -> None:
    """HT-36: all parts in order, through middleware; async code of a stream reaches the database."""
    made = replies(path)
    parts = int(path.partition("=")[2])
    assert body(made) == b"".join(b"%d," % number for number in range(parts))
    assert len(made) == parts + 1
    assert events[-1] == "closed"


def test_script_prefix(default_layer: SyncChannelLayer) -> None:
    """HT-23: the prefix of reversed URLs is the message's ``root_path``; None is empty."""
    assert body(replies("/root/hello/", root_path="/root")) == b"hello /hello/"
    assert get_script_prefix() == "/root/"
    replies("/hello/", root_path=None)
    assert get_script_prefix() == "/"


def test_forms(default_layer: SyncChannelLayer) -> None:
    """HT-24, HT-14: views read what came in chunks."""
    default_layer.send("body?x", {"content": b"1&b=2"})
    headers = [[b"host", b"testserver"], [b"content-type", b"application/x-www-form-urlencoded"]]
    with override_settings(MIDDLEWARE=[]):
        made = replies("/form/", layer=default_layer, method="POST", headers=headers, body=b"a=", body_channel="body?x")
    assert json.loads(body(made)) == {"a": "1", "b": "2"}


def test_sessions(default_layer: SyncChannelLayer) -> None:
    """HT-34: the session's cookie goes out and comes back."""
    [reply] = replies("/counts/")
    cookie = dict(reply["headers"])[b"Set-Cookie"].strip().partition(b";")[0]
    headers = [[b"host", b"testserver"], [b"cookie", cookie]]
    assert body(replies("/counts/", headers=headers)) == b"2"


def test_head(default_layer: SyncChannelLayer) -> None:
    """HT-32: HEAD is nothing special here; the server leaves the body out."""
    with override_settings(MIDDLEWARE=[]):
        [reply] = replies("/hello/", method="HEAD")
    assert reply["content"] == b"hello /hello/"
    assert [name for name, _ in reply["headers"]] == [b"Content-Type"]


# Errors


@pytest.mark.parametrize(
    "content", [{"query_string": b"a=\xff"}, {"headers": [[b"content-type", b"a/b; charset*=none'en'x"]]}]
)
def test_a_bad_request(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, content: Any) -> None:
    """HT-25: 400, empty, logged with traceback and status; no view is run."""
    try:
        AsgiRequest(message("/hello/", **content))
    except ValueError:
        pass
    else:
        pytest.skip("this Django takes it")
    [reply] = replies("/hello/", **content)
    assert (reply["status"], reply["content"]) == (400, b"")
    [record] = caplog.records
    assert (record.name, record.levelno, record.status_code) == ("django.request", logging.WARNING, 400)
    assert record.exc_info
    assert events == []


def test_a_request_that_times_out(default_layer: SyncChannelLayer) -> None:
    """HT-26: 408 with a short text."""

    class Impatient(AsgiHandler):
        class request_class(AsgiRequest):
            body_receive_timeout = 0

    [reply] = replies("/hello/", Impatient, layer=default_layer, body_channel="body?x")
    assert reply["status"] == 408
    assert reply["content"].startswith(b"408 Request Timeout")
    assert events == []


def test_a_request_that_is_aborted(default_layer: SyncChannelLayer) -> None:
    """HT-27: no messages."""
    default_layer.send("body?x", {"closed": True})
    assert replies("/hello/", layer=default_layer, body_channel="body?x") == []
    assert events == []


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10, MIDDLEWARE=[])
def test_a_body_that_is_too_large(default_layer: SyncChannelLayer) -> None:
    """OB-24: what Django answers to it, 400."""
    headers = [[b"host", b"testserver"], [b"content-type", b"application/x-www-form-urlencoded"]]
    [reply] = replies("/form/", method="POST", headers=headers, body=b"a=" + b"x" * 20)
    assert reply["status"] == 400


@override_settings(MIDDLEWARE=[])
def test_forms_in_another_charset(default_layer: SyncChannelLayer) -> None:
    """PL-12: where Django refuses them it is a 400."""
    headers = [[b"host", b"testserver"], [b"content-type", b"application/x-www-form-urlencoded; charset=latin-1"]]
    request = AsgiRequest(message("/form/", method="POST", headers=headers, body=b"a=%e9"))
    [reply] = replies("/form/", method="POST", headers=headers, body=b"a=%e9")
    if reply["status"] == 400:
        with pytest.raises(BadRequest):
            request.POST  # noqa: B018
    else:
        assert request.POST.dict() == json.loads(reply["content"]) == {"a": "é"}


LATER = ["/later/", "/alater/", "/later-rendered/", "/later/?replace=1", "/later/?mend=1"]


@pytest.mark.parametrize("path", LATER)
@pytest.mark.parametrize("debug", [True, False])
def test_response_later(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, path: str, debug: bool
) -> None:
    """HT-28, HT-30, PL-05, OB-21, EX-02: no messages, under all middleware; it is no error to anyone."""
    failed: list[Any] = []

    def exception(**given: Any) -> None:
        failed.append(given)

    def finished(**_: Any) -> None:
        failed.append("finished")

    signals.got_request_exception.connect(exception)
    signals.request_finished.connect(finished)
    try:
        with override_settings(DEBUG=debug):
            assert replies(path) == []
    finally:
        signals.got_request_exception.disconnect(exception)
        signals.request_finished.disconnect(finished)
    assert failed == []
    assert events == [202]  # process_exception is not asked
    ours = [record for record in caplog.records if record.name != "asyncio"]  # which complains of slow machines
    assert [record for record in ours if record.levelno > logging.INFO] == []


def test_sessions_are_saved_before_a_later_response(default_layer: SyncChannelLayer) -> None:
    """HT-28: middleware ends as for any response."""
    session = SessionStore()
    session.save()
    assert session.session_key
    headers = [[b"host", b"testserver"], [b"cookie", b"sessionid=" + session.session_key.encode()]]
    assert replies("/later/", headers=headers) == []
    assert SessionStore(session.session_key)["later"] is True


def test_a_later_response_is_not_cached(default_layer: SyncChannelLayer) -> None:
    """HT-28: what stands for it on its way through middleware must not answer the next request."""
    assert replies("/cached/") == []
    assert replies("/cached/") == []
    assert events.count("view") == 2


def test_middleware_that_asks_twice(default_layer: SyncChannelLayer) -> None:
    """HT-28: the last word of the view counts."""
    assert body(replies("/twice/")) == b"now"


def test_hooks_let_response_later_pass(default_layer: SyncChannelLayer) -> None:
    """HT-30, HT-31: handlers that extend ours see it."""
    made = AsgiHandler()
    request = AsgiRequest(message("/later/"))
    with pytest.raises(ResponseLater):
        made.process_exception_by_middleware(ResponseLater(), request)
    with pytest.raises(ResponseLater):
        made.handle_uncaught_exception(request, get_resolver(), (ResponseLater, ResponseLater(), None))
    with pytest.raises(ResponseLater, match="the view of /later/"):
        made.get_response(request)


def test_exceptions_of_views(default_layer: SyncChannelLayer) -> None:
    """HT-30, HT-31: Django's own pages, and its exception middleware."""
    [reply] = replies("/broken/")
    assert (reply["status"], reply["content"]) == (500, b"sorry")
    assert events == ["ZeroDivisionError", 500]
    assert body(replies("/broken/?mend=1")) == b"mended"
    assert replies("/missing/")[0]["status"] == 404


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("middleware", [[], [f"{HERE}.asynchronous", f"{HERE}.Recording"]])
def test_the_last_resort(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, debug: bool, middleware: list[str]
) -> None:
    """HT-31: where the error page fails too: plain text, with the traceback when DEBUG."""
    closed: list[Any] = []

    class Closing(AsgiHandler):
        class request_class(AsgiRequest):
            def close(self) -> None:
                closed.append(self)
                super().close()

    reporter = f"{HERE}.BrokenReporter"
    with override_settings(MIDDLEWARE=middleware, DEBUG=debug, DEFAULT_EXCEPTION_REPORTER=reporter):
        [reply] = replies("/broken/?deeper=1", Closing)
    assert (reply["status"], dict(reply["headers"])[b"Content-Type"]) == (500, b"text/plain")
    if debug:
        assert reply["content"].startswith(b"Traceback")
        assert b"the error page failed too" in reply["content"]
    else:
        assert reply["content"] == b"Internal Server Error"
    assert "Internal Server Error: /broken/" in [record.getMessage() for record in caplog.records]
    assert len(closed) == 1


@override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True)
def test_exceptions_may_propagate(default_layer: SyncChannelLayer) -> None:
    """HT-31: DEBUG_PROPAGATE_EXCEPTIONS does what it says."""
    with pytest.raises(ZeroDivisionError):
        replies("/broken/")


def test_names_of_the_module() -> None:
    """13.1, 13.2: what 1.x code imports from here."""
    for name in [
        "AsgiRequest",
        "AsgiHandler",
        "ViewConsumer",
        "logger",
        "RequestAborted",
        "RequestTimeout",
        "ResponseLaterOuter",
        "http",
        "base",
        "signals",
        "HttpResponse",
        "FileResponse",
        "HttpResponseServerError",
        "set_script_prefix",
        "cached_property",
        "BytesIO",
    ]:
        assert hasattr(handler_module, name), name
    assert handler_module.logger.name == "django.request"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert handler_module.ResponseLaterOuter is ResponseLater
