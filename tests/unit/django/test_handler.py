"""``AsgiHandler``: a message in, the messages of the response out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.core import signals
from django.core.cache import cache
from django.core.exceptions import BadRequest
from django.db import connection, reset_queries
from django.test import override_settings
from django.urls import get_resolver, get_script_prefix, set_script_prefix
from django.utils.decorators import async_only_middleware
from django.utils.deprecation import MiddlewareMixin

from routechan.encoding import Content
from routechan.exceptions import ResponseLater
from routechan.layers import SyncChannelLayer
from routechan_django import handler as handler_module
from routechan_django.handler import AsgiHandler, AsgiRequest

from .helpers import connected, http_request
from .views import events

HERE = "tests.unit.django.views"
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


def replies(path: str = "/test/", handler: type[AsgiHandler] = AsgiHandler, **content: Any) -> list[Content]:
    return list(handler()(http_request(path, **content)))


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
    made = AsgiHandler()(http_request("/hello/"))
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

    with connected(started, signals.request_started), connected(finished, signals.request_finished):
        made = AsgiHandler()(http_request("/stream/?parts=2"))
        next(made)
        next(made)
        assert seen == [("started", AsgiHandler, "/stream/", False, [])]
        assert len(list(made)) == 1
        assert seen[1:] == [("finished", AsgiHandler)]


def test_djangos_own_receivers(default_layer: SyncChannelLayer) -> None:
    """HT-23: they do their work without an ``environ``: queries are forgotten, say."""
    with override_settings(DEBUG=True):
        connection.queries_log.append({"sql": "x", "time": "0"})
        assert reset_queries in [ref() for _, ref, *_ in signals.request_started.receivers]
        replies("/hello/")
        assert not connection.queries_log


def test_a_response_given_up_is_closed(default_layer: SyncChannelLayer) -> None:
    """HT-24: the generator of a stream ends with the generator of messages."""
    made = AsgiHandler()(http_request("/stream/?parts=1000"))
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
        AsgiRequest(http_request("/hello/", **content))
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
    request = AsgiRequest(http_request("/form/", method="POST", headers=headers, body=b"a=%e9"))
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
    seen: list[Any] = []

    def receiver(signal: Any, **_: Any) -> None:
        seen.append(signal)

    with (
        override_settings(DEBUG=debug),
        connected(receiver, signals.got_request_exception, signals.request_finished),
    ):
        assert replies(path) == []
    assert seen == []
    assert events == [202]  # process_exception is not asked
    ours = [record for record in caplog.records if record.name != "asyncio"]  # which complains of slow machines
    assert [record for record in ours if record.levelno > logging.INFO] == []


class Request(MiddlewareMixin):
    def process_request(self, request: AsgiRequest) -> None:
        raise request.ResponseLater


class Response(MiddlewareMixin):
    def process_response(self, request: AsgiRequest, response: Any) -> Any:
        raise request.ResponseLater


class View(MiddlewareMixin):
    def process_view(self, request: AsgiRequest, *args: Any) -> None:
        raise request.ResponseLater


def before(get_response: Any) -> Any:
    def middleware(request: AsgiRequest) -> Any:
        raise request.ResponseLater

    return middleware


def after(get_response: Any) -> Any:
    def middleware(request: AsgiRequest) -> Any:
        get_response(request)
        raise request.ResponseLater

    return middleware


@async_only_middleware
def aafter(get_response: Any) -> Any:
    async def middleware(request: AsgiRequest) -> Any:
        await get_response(request)
        raise request.ResponseLater

    return middleware


@pytest.mark.parametrize("name", ["Request", "Response", "View", "before", "after", "aafter"])
@pytest.mark.parametrize("place", ["outermost", "innermost"])
@pytest.mark.parametrize("debug", [True, False])
def test_response_later_of_a_middleware(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture, name: str, place: str, debug: bool
) -> None:
    """HT-28: honoured as that of a view, wherever the middleware stands; it is no error to anyone."""
    path, others = f"{__name__}.{name}", settings.MIDDLEWARE
    chain = [path, *others] if place == "outermost" else [*others, path]
    with override_settings(MIDDLEWARE=chain, DEBUG=debug):
        assert replies("/hello/") == []
    assert [record for record in caplog.records if record.levelno > logging.INFO and record.name != "asyncio"] == []


def test_a_middleware_that_fails(default_layer: SyncChannelLayer) -> None:
    """HT-31: any other exception of one is the 500 that Django makes of it."""
    with override_settings(MIDDLEWARE=[f"{__name__}.failing"]):
        [reply] = replies("/hello/")
    assert reply["status"] == 500


def failing(get_response: Any) -> Any:
    def middleware(request: AsgiRequest) -> Any:
        raise LookupError("on purpose")

    return middleware


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
    request = AsgiRequest(http_request("/later/"))
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
    assert "Internal Server Error: '/broken/'" in [record.getMessage() for record in caplog.records]
    assert len(closed) == 1


@override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True)
def test_exceptions_may_propagate(default_layer: SyncChannelLayer) -> None:
    """HT-31: DEBUG_PROPAGATE_EXCEPTIONS does what it says."""
    with pytest.raises(ZeroDivisionError):
        replies("/broken/")


def test_names_of_the_module() -> None:
    """13.1, 13.2: the logger and the exception that 1.x code imports from here (the names: alias/test_inventory)."""
    assert handler_module.logger.name == "django.request"
    assert handler_module.ResponseLaterOuter is ResponseLater
