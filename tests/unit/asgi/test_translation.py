"""ASGI events to 1.x messages and back, as tables (``layers-and-protocol`` 6 and 7, appendix D)."""

from __future__ import annotations

from typing import Any

import pytest

from routechan.asgi import translation
from routechan.exceptions import InvalidContent

from .clients import data, text

pytestmark = pytest.mark.usefixtures("without_channels")

REPLY = "websocket.send.abc!def"


def scope(**changes: Any) -> dict[str, Any]:
    """A scope as servers make it; None takes a key away."""
    made = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "ws",
        "path": "/chat/é/",
        "raw_path": b"/chat/%C3%A9/",
        "query_string": b"a=%20b&c",
        "root_path": "",
        "headers": [(b"host", b"example.com")],
        "client": ("1.2.3.4", 5678),
        "server": ("5.6.7.8", 80),
        "subprotocols": [],
        "state": {},
        "extensions": {},
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


def connect(**changes: Any) -> dict[str, Any]:
    return translation.connect_content(scope(**changes), REPLY)


def request(**changes: Any) -> dict[str, Any]:
    return translation.request_head(scope(type="http", scheme="http", **changes))


# websocket.connect


CONNECT = {
    "reply_channel": REPLY,
    "path": "/chat/é/",
    "root_path": "",
    "scheme": "ws",
    "query_string": b"a=%20b&c",
    "headers": [[b"host", b"example.com"]],
    "client": ["1.2.3.4", 5678],
    "server": ["5.6.7.8", 80],
    "order": 0,
}


def test_connect() -> None:
    """6.8, item 152: every key of the message and no other; ``scheme`` and ``root_path`` are there as well."""
    assert connect() == CONNECT


def test_connect_from_the_least_scope() -> None:
    """7.1: each key that a server may leave out has a default."""
    least = {"path": "/", "query_string": b"", "headers": [], "client": None, "server": None}
    assert translation.connect_content({"type": "websocket", "path": "/"}, REPLY) == {**CONNECT, **least}


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("query_string", b"", b""),
        ("query_string", None, b""),
        ("scheme", "wss", "wss"),
        ("scheme", "", "ws"),
        ("client", ["1.2.3.4", 5], ["1.2.3.4", 5]),
        ("client", None, None),
        ("server", ("/run/app.sock", None), None),
        ("server", None, None),
        ("root_path", None, ""),
    ],
)
def test_where_a_socket_came_from(key: str, given: Any, expected: Any) -> None:
    """7.1: lists for tuples, None for UNIX sockets, bytes for a missing query; some servers give None for missing."""
    assert connect(**{key: given})[key] == expected
    assert translation.connect_content({**scope(), key: given}, REPLY)[key] == expected


@pytest.mark.parametrize(
    ("root_path", "path", "expected"),
    [
        ("", "/chat/", ("/chat/", "")),
        ("/", "/chat/", ("/chat/", "")),
        ("/app", "/app/chat/", ("/chat/", "/app")),
        ("/app/", "/app/chat/", ("/chat/", "/app")),
        ("app", "/app/chat/", ("/chat/", "/app")),
        ("/app", "/chat/", ("/chat/", "/app")),
        ("/app", "/app", ("/", "/app")),
        ("/app", "/app/", ("/", "/app")),
        ("/app", "/apple/", ("/apple/", "/app")),
        ("/app", "/app/app/chat/", ("/app/chat/", "/app")),
        ("/é/a", "/é/a/chat/", ("/chat/", "/é/a")),
    ],
)
def test_the_path_is_the_one_below_the_root_path(root_path: str, path: str, expected: tuple[str, str]) -> None:
    """As Django's URLs see it, whether or not the server's path includes the root path; cut at a ``/`` (OB-23)."""
    for content in (connect(root_path=root_path, path=path), request(root_path=root_path, path=path)):
        assert (content["path"], content["root_path"]) == expected


@pytest.mark.parametrize(
    ("root_path", "path", "expected"),
    [
        ("", "/chat/", "/chat/"),
        ("", "/app/chat/", "/chat/"),
        ("", "/application/", "/application/"),
        ("/inner", "/inner/chat/", "/chat/"),
        ("/inner", "/app/chat/", "/chat/"),
        ("/app", "/app/chat/", "/chat/"),
    ],
)
def test_a_root_path_of_the_projects_own(root_path: str, path: str, expected: str) -> None:
    """It is what consumers see, in place of the server's; either is cut off."""
    made = translation.connect_content(scope(root_path=root_path, path=path), REPLY, "/app/")
    assert (made["path"], made["root_path"]) == (expected, "/app")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([(b"Host", b" a ")], [[b"host", b"a"]]),
        (((name, b"1") for name in (b"B", b"a")), [[b"b", b"1"], [b"a", b"1"]]),
        ([[b"x-a", b"1"], [b"x-b", b"2"], [b"X-A", b"3"]], [[b"x-a", b"1"], [b"x-b", b"2"], [b"x-a", b"3"]]),
        ([(b"x_forwarded_for", b"1"), (b"x-forwarded-for", b"2")], [[b"x-forwarded-for", b"2"]]),
        (
            [(b"cookie", b"a=1"), (b"host", b"h"), (b"cookie", b"b=2"), (b"Cookie", b"c=3")],
            [[b"cookie", b"a=1; b=2; c=3"], [b"host", b"h"]],
        ),
        ([(b"x-latin", b"\xe9")], [[b"x-latin", b"\xe9"]]),
    ],
    ids=["case and spaces", "any iterable, order", "duplicates", "underscores", "split cookies", "any bytes"],
)
def test_headers(given: Any, expected: Any) -> None:
    """item 145, 6.2, 7.1: lists of bytes pairs, lower-case names, order and duplicates kept."""
    assert connect(headers=given)["headers"] == expected
    if isinstance(given, list):
        assert request(headers=given)["headers"] == expected


def test_headers_are_not_changed_in_the_scope() -> None:
    """A joined cookie is in the message only: the scope is the server's."""
    headers = [[b"Cookie", b"a=1"], [b"cookie", b"b=2"]]
    connect(headers=headers)
    assert headers == [[b"Cookie", b"a=1"], [b"cookie", b"b=2"]]


def test_a_removed_subprotocol_header_is_made_again() -> None:
    """7.1: 1.x consumers look for what was offered in the headers."""
    assert connect(subprotocols=["chat", "json"])["headers"][-1] == [b"sec-websocket-protocol", b"chat, json"]
    given = [(b"Sec-WebSocket-Protocol", b"chat,json")]
    assert connect(subprotocols=["chat", "json"], headers=given)["headers"] == [
        [b"sec-websocket-protocol", b"chat,json"]
    ]


@pytest.mark.parametrize(
    ("offered", "supported", "chosen"),
    [
        (["b", "a"], ["a", "b"], "b"),
        (["c", "a"], ["a", "b"], "a"),
        (["c"], ["a"], None),
        ([], ["a"], None),
        (["a"], [], None),
        (None, ["a"], None),
    ],
)
def test_the_subprotocol_is_the_clients_first(offered: Any, supported: list[str], chosen: str | None) -> None:
    """6.8: the first protocol in the client's order that is supported."""
    assert translation.choose_subprotocol(scope(subprotocols=offered), supported) == chosen


# websocket.receive, websocket.disconnect


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ({"text": "hello"}, {"text": "hello"}),
        ({"text": "hello", "bytes": None}, {"text": "hello"}),
        ({"bytes": b"\x00"}, {"bytes": b"\x00"}),
        ({"bytes": b"\x00", "text": None}, {"bytes": b"\x00"}),
        ({"text": ""}, {"text": ""}),
        ({"bytes": b""}, {"bytes": b""}),
        ({"text": None, "bytes": b""}, {"bytes": b""}),
        ({"text": "", "bytes": b""}, {"text": ""}),
    ],
)
def test_receive_has_the_key_that_came(event: dict[str, Any], data: dict[str, Any]) -> None:
    """6.10: exactly one of ``text`` and ``bytes``; 1.x consumers test ``"text" in message``."""
    content = translation.receive_content({"type": "websocket.receive", **event}, REPLY, "/chat/", 7)
    assert content == {"reply_channel": REPLY, "path": "/chat/", "order": 7, **data}


@pytest.mark.parametrize(("code", "expected"), [(1000, 1000), (4001, 4001), (1006, 1006), (1005, None), (None, None)])
def test_disconnect_codes(code: int | None, expected: int | None) -> None:
    """6.11, 7.1: a close frame without a code is None."""
    assert translation.disconnect_content(code, REPLY, "/chat/", 3) == {
        "reply_channel": REPLY,
        "path": "/chat/",
        "code": expected,
        "order": 3,
    }


# http.request


def test_request() -> None:
    """items 142, 143, 144: every key but reply channel and body, and no other; each of its type; the raw query."""
    expected = {**CONNECT, "scheme": "http", "http_version": "1.1", "method": "POST"}
    assert request(method="post") == {
        key: value for key, value in expected.items() if key not in ("reply_channel", "order")
    }


@pytest.mark.parametrize(("given", "expected"), [("1.0", "1.0"), ("1.1", "1.1"), ("2", "2"), ("3", "2"), (None, "1.1")])
def test_the_http_version_is_one_1x_knows(given: str | None, expected: str) -> None:
    """7.1: newer ones are ``2``."""
    assert request(http_version=given)["http_version"] == expected


def test_the_scheme_of_a_request() -> None:
    """6.2: ``http`` by default, never empty."""
    assert translation.request_head({"path": "/", "method": "GET"})["scheme"] == "http"
    assert request()["scheme"] == "http"


# Replies to a WebSocket


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        ({"accept": True}, (True, None, None, None)),
        ({"accept": False}, (False, None, None, None)),
        ({"accept": None}, (None, None, None, None)),
        ({"accept": 0}, (False, None, None, None)),
        ({"accept": ""}, (False, None, None, None)),
        ({"accept": True, "text": "a"}, (True, text("a"), None, None)),
        ({"accept": False, "bytes": b"a"}, (False, data(b"a"), None, None)),
        ({"text": "a"}, (None, text("a"), None, None)),
        ({"bytes": b"a"}, (None, data(b"a"), None, None)),
        ({"bytes": bytearray(b"a")}, (None, data(b"a"), None, None)),
        ({"text": "a", "bytes": None}, (None, text("a"), None, None)),
        ({"text": None, "bytes": b"a"}, (None, data(b"a"), None, None)),
        ({"text": "a", "bytes": b""}, (None, text("a"), None, None)),
        ({"text": "", "bytes": b"a"}, (None, data(b"a"), None, None)),
        ({"text": ""}, (None, None, None, None)),
        ({"bytes": b""}, (None, None, None, None)),
        ({"close": True}, (None, None, 1000, None)),
        ({"close": 4000}, (None, None, 4000, None)),
        ({"close": 1}, (None, None, 1, None)),
        ({"close": False}, (None, None, None, None)),
        ({"close": None}, (None, None, None, None)),
        ({"close": 0}, (None, None, None, None)),
        ({"accept": True, "text": "a", "close": 4000}, (True, text("a"), 4000, None)),
    ],
)
def test_socket_replies(content: dict[str, Any], reply: Any) -> None:
    """DM-01, DM-02, DM-03, 7.2: what each key asks for; empty data does not count."""
    assert translation.socket_reply(content) == reply


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"txt": "a"},
            "has the keys 'accept', 'text', 'bytes' and 'close', not 'txt'; put data of your own into 'text'",
        ),
        ({"text": "a", "status": 200, "b": 1}, "and 'close', not 'b', 'status'"),
        ({}, "it is empty and asks the socket for nothing; send 'text', 'bytes', 'accept' or 'close'"),
        ({"type": "chat.message", "a": 1}, "it has 'type', 'a', as an event for a class-based consumer of Channels 4"),
        ({"text": "a", "bytes": b"a"}, "'text' or 'bytes', not both; send two messages"),
        ({"text": b"a"}, "'text' has to be a str, not bytes"),
        ({"text": {"a": 1}}, r"'text' has to be a str, not dict; for objects send json.dumps\(...\)"),
        ({"text": 0}, "'text' has to be a str, not int"),
        ({"text": "\ud800"}, "'text' holds what UTF-8 cannot carry, a lone surrogate"),
        ({"bytes": "a"}, "'bytes' has to be bytes, not str; for a str use 'text'"),
        ({"bytes": ""}, "'bytes' has to be bytes, not str"),
        ({"close": "4000"}, "'close' is True or a close code such as 4000, not '4000'"),
        ({"close": 4000.0}, "'close' is True or a close code"),
        (["text"], "a message is a dict"),
        ("text", "a message is a dict"),
    ],
)
def test_no_socket_replies(content: Any, message: str) -> None:
    """6.9, DM-03: the whole message is refused, and the text says what is expected."""
    with pytest.raises(InvalidContent, match=message):
        translation.socket_reply(content)


GOOD_CODES = [1000, 1001, 1003, 1007, 1008, 1011, 1013, 1014, 3000, 3999, 4000, 4999]
BAD_CODES = [-5, 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70000]


@pytest.mark.parametrize("code", [*GOOD_CODES, *BAD_CODES])
def test_codes_that_may_close(code: int) -> None:
    """7.2, 6.9: those of RFC 6455 that may stand in a close frame; daphne refused all but 1000 and 3000 to 4999."""
    assert translation.may_close_with(code) is (code in GOOD_CODES)


# Replies to a request


def start(status: int, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(value: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": value, "more_body": more}


@pytest.mark.parametrize(
    ("content", "events"),
    [
        ({"status": 200}, [start(200, []), body(b"", False)]),
        ({"status": 201, "content": b"a"}, [start(201, []), body(b"a", False)]),
        ({"status": 200, "content": b"a", "more_content": True}, [start(200, []), body(b"a", True)]),
        ({"status": 200, "content": None, "headers": None}, [start(200, []), body(b"", False)]),
        (
            {"status": 200, "headers": [[b"Content-Type", b"a"], ("X-Text", "é"), (b"x-text", b"b")]},
            [start(200, [(b"content-type", b"a"), (b"x-text", b"\xe9"), (b"x-text", b"b")]), body(b"", False)],
        ),
        (
            {"status": 200, "headers": [(b"Set-Cookie", b" a=b; Path=/")]},  # as Python writes cookies
            [start(200, [(b"set-cookie", b"a=b; Path=/")]), body(b"", False)],
        ),
        ({"status": 200, "status_text": b"Fine", "unknown": 1}, [start(200, []), body(b"", False)]),
        ({"content": b"a"}, [body(b"a", False)]),
        ({"content": b"a", "more_content": True}, [body(b"a", True)]),
        ({}, [body(b"", False)]),
    ],
    ids=["status", "content", "more", "none", "headers", "cookie", "unknown keys", "chunk", "more chunks", "end"],
)
def test_a_message_of_a_response(content: dict[str, Any], events: Any) -> None:
    """6.4, items 148, 150: status, headers in order with lower-case names, content; then chunks of content."""
    started = "status" not in content
    assert translation.response_events(translation.response_reply(content), started) == events


@pytest.mark.parametrize(
    ("content", "started", "message"),
    [
        ({"content": b"a"}, False, "the first message of a response has a 'status', such as {'status': 200"),
        ({}, False, "the first message of a response has a 'status'"),
        ({"status": 200}, True, "this response has started already; further messages have only 'content'"),
        ({"status": "200"}, False, "'status' is an int such as 200, not '200'"),
        *[({"status": status}, False, "'status' is an int such as 200") for status in (99, 600, 99999)],
        ({"status": 200, "content": "a"}, False, "'content' has to be bytes, not str; encode text before sending it"),
        ({"content": {"a": 1}}, True, "'content' has to be bytes, not dict"),
        ({"status": 200, "headers": [("content-length", 5)]}, False, "header"),
        ({"status": 200, "headers": [("x-a", None)]}, False, "header"),
        ({"status": 200, "headers": [("x-a", "€")]}, False, "header"),
        ({"status": 200, "headers": ["x-a: b"]}, False, "header"),
        ({"status": 200, "headers": 5}, False, "header"),
        *[
            ({"status": 200, "headers": [pair]}, False, "letters, digits and hyphens, .* no line breaks and no NUL; it")
            for pair in [
                *[("x-a", value) for value in ("b\0c", "b\r\nset-cookie: c", b"b\nc", "b\rc")],
                *[(name, "b") for name in ("x\0a", "x-a: b\r\nx", "x a", "", "x:", "é")],
            ]
        ],
        ("text", False, "a message is a dict"),
    ],
)
def test_no_replies_to_a_request(content: Any, started: bool, message: str) -> None:
    """item 149, 6.4: refused with what was expected, not sent in part or as something else."""
    with pytest.raises(InvalidContent, match=message):
        translation.response_events(translation.response_reply(content), started)
