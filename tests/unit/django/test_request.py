"""``AsgiRequest``: what a view sees of an ``http.request`` message."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.test import override_settings

from routechan import Message
from routechan.exceptions import RequestAborted, RequestTimeout, ResponseLater, WouldBlock
from routechan.layers import SyncChannelLayer
from routechan_django.handler import AsgiRequest

FORM = [[b"content-type", b"application/x-www-form-urlencoded"]]


def request(layer: SyncChannelLayer | None = None, **content: Any) -> AsgiRequest:
    return AsgiRequest(
        Message({"reply_channel": "test-reply", "method": "GET", "path": "/test/", **content}, "http.request", layer)
    )


def test_basic(default_layer: SyncChannelLayer) -> None:
    """HT-21, HT-01, HT-04 to HT-06: method, path and reply channel are enough; everything else is empty."""
    made = request(method="get")
    assert (made.path, made.path_info, made.method, made.body) == ("/test/", "/test/", "GET", b"")
    assert made.message["reply_channel"] == "test-reply"
    assert made.reply_channel is made.message.reply_channel
    assert made.resolver_match is None
    assert "HTTP_HOST" not in made.META
    assert not {"REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT"} & made.META.keys()
    assert (made.META["SERVER_NAME"], made.META["SERVER_PORT"]) == ("unknown", "0")
    assert (made.META["wsgi.multithread"], made.META["wsgi.multiprocess"]) == (True, True)
    assert not made.GET
    assert not made.POST
    assert not made.FILES
    assert not made.COOKIES
    assert (made.content_type, made.content_params, made._content_length) == ("", {}, 0)


def test_extended(default_layer: SyncChannelLayer) -> None:
    """HT-05 to HT-08, HT-17: query, cookies, client, server and a dict of headers, which becomes a list."""
    made = request(
        path="/test2/",
        query_string=b"x=1&y=%26foo+bar%2Bbaz",
        headers={"host": b"example.com", "cookie": b"test-time=1448995585123; test-value=yeah", "x-One-Two": b"3"},
        client=["10.0.0.1", 1234],
        server=["10.0.0.2", 80],
    )
    assert made.META["QUERY_STRING"] == "x=1&y=%26foo+bar%2Bbaz"
    assert made.META["REMOTE_ADDR"] == made.META["REMOTE_HOST"] == "10.0.0.1"
    assert made.META["REMOTE_PORT"] == 1234
    assert (made.META["SERVER_NAME"], made.META["SERVER_PORT"]) == ("10.0.0.2", "80")
    assert (made.META["HTTP_HOST"], made.META["HTTP_X_ONE_TWO"]) == ("example.com", "3")
    assert made.GET.dict() == {"x": "1", "y": "&foo bar+baz"}
    assert made.COOKIES == {"test-time": "1448995585123", "test-value": "yeah"}
    assert made.message["headers"][0] == (b"host", b"example.com")


def test_missing_keys(default_layer: SyncChannelLayer) -> None:
    """HT-02: a message without ``path`` or ``method`` is no request."""
    for key in ("path", "method"):
        message = Message({"method": "GET", "path": "/"}, "http.request", None)
        del message.content[key]
        with pytest.raises(KeyError, match=key):
            AsgiRequest(message)


def test_a_bytes_path_is_kept(default_layer: SyncChannelLayer) -> None:
    """HT-02: as is."""
    assert request(path=b"/test/").path == b"/test/"  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("root_path", "path", "path_info", "full"),
    [
        ("", "/a/b/", "/a/b/", "/a/b/"),
        (None, "/a/b/", "/a/b/", "/a/b/"),
        ("/a", "/a/b/", "/b/", "/a/b/"),
        ("/a/", "/a/b/", "/b/", "/a/b/"),
        ("/a", "/a", "", "/a"),
        ("/other", "/a/b/", "/a/b/", "/other/a/b/"),
        ("/other/", "/a/b/", "/a/b/", "/other/a/b/"),
        ("/pre", "/prefix/", "/prefix/", "/pre/prefix/"),
    ],
)
def test_script_name(default_layer: SyncChannelLayer, root_path: Any, path: str, path_info: str, full: str) -> None:
    """HT-03, OB-23: ``root_path`` is cut off where a part of the path ends; ``path`` has it, as Django's own."""
    made = request(path=path, root_path=root_path)
    assert (made.path, made.path_info, made.script_name) == (full, path_info, root_path or "")
    assert (made.META["PATH_INFO"], made.META["SCRIPT_NAME"]) == (path_info, root_path or "")


@override_settings(FORCE_SCRIPT_NAME="/forced")
def test_a_forced_script_name(default_layer: SyncChannelLayer) -> None:
    """HT-03, CM-10: the setting, which servers of 1.x put into the message, wins as in Django's own handlers."""
    assert request(path="/forced/a/", root_path="/root").path_info == "/a/"


def test_headers(default_layer: SyncChannelLayer) -> None:
    """HT-08, HT-09: content type and length in lower case only; repeated headers joined; underscores pass."""
    made = request(
        headers=[
            [b"content-length", b"3"],
            [b"Content-Length", b"4"],
            [b"content-type", b'text/HTML; charset="latin-1"'],
            [b"x-a", b"1"],
            [b"x-a", b"\xe9"],
            [b"x_b", b"2"],
        ]
    )
    assert made.META["CONTENT_LENGTH"] == "3"
    assert made.META["HTTP_CONTENT_LENGTH"] == "4"
    assert made.META["HTTP_X_A"] == "1,é"
    assert made.META["HTTP_X_B"] == "2"
    assert made._content_length == 3


def test_split_cookies(default_layer: SyncChannelLayer) -> None:
    """HT-09, OB-22: cookies in several headers are several cookies."""
    assert request(headers=[[b"cookie", b"a=1"], [b"cookie", b"b=2"]]).COOKIES == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("value", "encoding"),
    [(b"text/html; charset=latin-1", "latin-1"), (b"text/html; charset=nonsense", None), (b"text/html", None)],
)
def test_content_type(default_layer: SyncChannelLayer, value: bytes, encoding: str | None) -> None:
    """HT-10, PL-03: parsed without ``cgi``; a charset that Python knows is the encoding."""
    made = request(headers=[[b"content-type", value]])
    assert made.content_type == "text/html"
    assert made.encoding == encoding


@pytest.mark.parametrize("value", [b"", b"x", b"1,1"])
def test_a_content_length_that_is_none(default_layer: SyncChannelLayer, value: bytes) -> None:
    """HT-11: 0, for duplicates too."""
    assert request(headers=[[b"content-length", value]])._content_length == 0


def test_a_query_in_another_encoding(default_layer: SyncChannelLayer) -> None:
    """HT-20, PL-13: escaped bytes of any kind pass; raw ones that are no UTF-8 do not."""
    assert request(query_string=b"a=%ff").GET["a"] == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        request(query_string=b"a=\xff")


def test_post_single(default_layer: SyncChannelLayer) -> None:
    """HT-18, HT-17: GET and POST are separate; the query may be text."""
    made = request(method="POST", query_string="x=1", headers=FORM, body=b"ponies=are+great&x=2")
    assert made.GET.dict() == {"x": "1"}
    assert made.POST.dict() == {"ponies": "are great", "x": "2"}
    assert made._post_parse_error is False
    made.POST = {"assigned": "1"}  # type: ignore[assignment]
    assert made.POST == {"assigned": "1"}
    with pytest.raises(AttributeError):
        made.FILES = {}  # type: ignore[assignment]


def test_post_multiple(default_layer: SyncChannelLayer) -> None:
    """HT-12, HT-14: ``body``, then chunks until one does not say that more is to come."""
    default_layer.send("test-input", {"content": b"re=fou", "more_content": True})
    default_layer.send("test-input", {"content": b"r&b=ar"})
    default_layer.send("test-input", {"content": b"&not=this"})
    made = request(default_layer, method="POST", headers=FORM, body=b"the", body_channel="test-input")
    assert made.POST.dict() == {"there": "four", "b": "ar"}
    assert default_layer.receive(["test-input"])[1] == {"content": b"&not=this"}


def multipart(*chunks: bytes, **content: Any) -> dict[str, Any]:
    """The content of an upload."""
    body = (
        b"--BOUNDARY\r\n"
        b'Content-Disposition: form-data; name="title"\r\n\r\nMy First Book\r\n--BOUNDARY\r\n'
        b'Content-Disposition: form-data; name="pdf"; filename="book.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
        b"%s\r\n--BOUNDARY--" % b"".join(chunks)
    )
    headers = [
        [b"content-type", b"multipart/form-data; boundary=BOUNDARY"],
        [b"content-length", b"%d" % len(body)],
    ]
    return {"method": "POST", "headers": headers, "whole": body, **content}


def test_post_files(default_layer: SyncChannelLayer) -> None:
    """HT-18: an upload in two chunks, without an initial body."""
    content = multipart(b"FAKEPDFBYTESGOHERE")
    whole = content.pop("whole")
    default_layer.send("test-input", {"content": whole[:20], "more_content": True})
    default_layer.send("test-input", {"content": whole[20:]})
    made = request(default_layer, body_channel="test-input", **content)
    assert made.POST["title"] == "My First Book"
    assert made.FILES["pdf"].read() == b"FAKEPDFBYTESGOHERE"  # type: ignore[union-attr]
    assert made.body == whole


def test_stream(default_layer: SyncChannelLayer) -> None:
    """HT-16: read in pieces; ``body`` is the whole all the same, and reading goes on where it was."""
    made = request(method="PUT", body=b"onetwothree")
    assert made.read(3) == b"one"
    assert made.body == b"onetwothree"
    assert made.read() == b"twothree"
    assert made.body == b"onetwothree"


def test_post_after_a_read(default_layer: SyncChannelLayer) -> None:
    """HT-16: forms and uploads can be parsed after partial reads."""
    made = request(method="POST", headers=FORM, body=b"a=1&b=2")
    assert made.read(3) == b"a=1"
    assert made.POST.dict() == {"a": "1", "b": "2"}
    assert made.read() == b"&b=2"
    content = multipart(b"file")
    upload = request(body=content.pop("whole"), **content)
    assert upload.read(5) == b"--BOU"
    assert upload.FILES["pdf"].read() == b"file"  # type: ignore[union-attr]
    assert upload.read(5) == b"NDARY"


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10)
def test_the_size_of_a_body(default_layer: SyncChannelLayer) -> None:
    """OB-24, HT-16: the setting is honoured by ``body`` and forms, as in Django; uploaded files may be larger."""
    assert request(body=b"x" * 10).body == b"x" * 10
    large = request(method="POST", headers=FORM, body=b"x" * 11)
    for read in (lambda: large.body, lambda: large.POST):
        with pytest.raises(RequestDataTooBig, match="DATA_UPLOAD_MAX_MEMORY_SIZE"):
            read()
    assert large.read() == b"x" * 11
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=50):
        content = multipart(b"y" * 1000)
        upload = request(body=content.pop("whole"), **content)
        assert upload.FILES["pdf"].size == 1000  # type: ignore[union-attr]


@override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=10)
def test_a_large_body_is_not_kept_in_memory(default_layer: SyncChannelLayer) -> None:
    """OB-24: chunks beyond FILE_UPLOAD_MAX_MEMORY_SIZE go to a file, which is closed with the request."""
    for _ in range(3):
        default_layer.send("test-input", {"content": b"x" * 10, "more_content": True})
    default_layer.send("test-input", {"content": b""})
    made = request(default_layer, body_channel="test-input")
    assert not isinstance(made._stream, BytesIO)
    assert made.read() == b"x" * 30
    made.close()
    assert made._stream.closed


def test_request_timeout(default_layer: SyncChannelLayer) -> None:
    """HT-13, EX-03: the whole body has to come in time."""

    class Impatient(AsgiRequest):
        body_receive_timeout = 0

    assert AsgiRequest.body_receive_timeout == 60
    default_layer.send("test-input", {"content": b"r&b=ar"})
    content = {"method": "POST", "path": "/", "body": b"the", "body_channel": "test-input"}
    with pytest.raises(RequestTimeout, match="within 0 s"):
        Impatient(Message(content, "http.request", default_layer))


def test_the_time_is_that_of_the_whole_body(default_layer: SyncChannelLayer) -> None:
    """HT-13: chunks that keep coming do not prolong it."""

    class Endless:
        def receive(self, channels: list[str], block: bool) -> tuple[str, dict[str, Any]]:
            assert block
            return channels[0], {"content": b"x", "more_content": True}

    class Impatient(AsgiRequest):
        body_receive_timeout = 0.05

    content = {"method": "POST", "path": "/", "body_channel": "test-input"}
    with pytest.raises(RequestTimeout):
        Impatient(Message(content, "http.request", Endless()))


def test_request_abort(default_layer: SyncChannelLayer) -> None:
    """HT-14, EX-04: a ``closed`` chunk is a client that has left."""
    default_layer.send("test-input", {"content": b"re=fou", "more_content": True})
    default_layer.send("test-input", {"closed": True})
    with pytest.raises(RequestAborted):
        request(default_layer, method="POST", body_channel="test-input")


def test_the_default_layer_has_the_body(default_layer: SyncChannelLayer) -> None:
    """MS-04, HT-13: a message built without a layer, as in tests, is read from the default one."""
    default_layer.send("test-input", {"content": b"x"})
    assert request(None, body_channel="test-input").body == b"x"


@pytest.mark.parametrize("body", [None, "text"])
def test_a_body_that_is_not_bytes(default_layer: SyncChannelLayer, body: Any) -> None:
    """HT-15, HT-14: refused with a text, in the message and in a chunk."""
    with pytest.raises(TypeError, match=r"'body' of a request has to be bytes, not (NoneType|str)"):
        request(body=body)
    default_layer.send("test-input", {"content": body} if body else {})
    with pytest.raises(TypeError, match="'content' of a body chunk of a request has to be bytes"):
        request(default_layer, body_channel="test-input")


async def test_a_body_channel_on_an_event_loop(default_layer: SyncChannelLayer) -> None:
    """HT-12: the constructor blocks, which it refuses to do there."""
    with pytest.raises(WouldBlock):
        request(default_layer, body_channel="test-input")


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False), (None, False)])
def test_scheme(default_layer: SyncChannelLayer, scheme: str | None, secure: bool) -> None:
    """HT-19: ``is_secure`` follows the message's scheme."""
    made = request() if scheme is None else request(scheme=scheme)
    assert made.is_secure() is secure


def test_response_later_is_at_hand(default_layer: SyncChannelLayer) -> None:
    """EX-02: ``AsgiRequest.ResponseLater`` is the exception class."""
    assert AsgiRequest.ResponseLater is ResponseLater
    assert request().ResponseLater is ResponseLater
