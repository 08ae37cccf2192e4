"""Which pages may open a socket (LD-09)."""

from __future__ import annotations

import pytest

from routechan.asgi.origin import Origins


def refusal(
    allowed: list[str] | None, origin: str | None, host: str = "example.com", secure: bool = False
) -> str | None:
    headers = [[b"host", host.encode()]]
    if origin is not None:
        headers.append([b"origin", origin.encode("latin-1")])
    return Origins(allowed).refusal(headers, secure=secure)


@pytest.mark.parametrize("allowed", [None, [], ["example.com"]])
def test_a_client_without_an_origin_is_no_browser(allowed: list[str] | None) -> None:
    """item 159, 6.8: it is let through, whatever is allowed."""
    assert refusal(allowed, None) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.com", "example.com"),
        ("https://example.com:8443", "example.com:8443"),
        ("http://example.com", "example.com:80"),
        ("https://example.com", "example.com:443"),
        ("https://example.com.", "example.com"),
        ("HTTP://EXAMPLE.com", "example.COM"),
        ("http://localhost:3000", "localhost:8000"),
        ("http://app.localhost:3000", "app.localhost:8000"),
        ("http://127.0.0.1:3000", "127.0.0.1:8000"),
        ("http://[::1]:3000", "[::1]:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[::1]", "[::1]"),
    ],
)
def test_the_host_itself(origin: str, host: str) -> None:
    """Without a list, the host the socket was opened on; on this machine with any port, IPv6 works (OB-26)."""
    assert refusal(None, origin, host) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.com", "example.com"),
        ("http://example.com.evil.com", "example.com"),
        ("http://evil.com#example.com", "example.com"),
        ("http://evil.com/example.com", "example.com"),
        ("http://example.com@evil.com", "example.com"),
        ("http://notexample.com", "example.com"),
        ("http://sub.example.com", "example.com"),
        ("http://[::1", "example.com"),
        ("http://é.com", "example.com"),
        ("http://evil.com\\.example.com", "example.com"),
        ("http://user@example.com", "example.com"),
        ("http://example.com/", "example.com"),
        ("http://example.com:", "example.com"),
        ("http://example.com:x", "example.com"),
        ("//example.com", "example.com"),
        ("chrome-extension://example.com", "example.com"),
        ("null", "example.com"),
        ("file://", "example.com"),
        ("", "example.com"),
        ("null", ""),
        ("", ""),
        ("file://", ""),
    ],
)
def test_another_host(origin: str, host: str) -> None:
    """LD-09: a similar host, an origin without a host (``null``, ``file://``), or a malformed one is refused."""
    reason = refusal(None, origin, host)
    assert reason is not None
    assert "is not this host" in reason
    assert "allow it with allowed_origins" in reason


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("example.com", "http://example.com"),
        ("example.com", "https://example.com:8443"),
        ("EXAMPLE.com", "https://example.COM"),
        (".example.com", "https://example.com"),
        (".example.com", "https://a.b.example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("https://example.com/", "https://example.com"),
        ("[::1]", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("null", "null"),
        ("file://", "file://"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "https://anything.org"),
        ("*", "null"),
        ("*", "file://"),
    ],
)
def test_an_allowed_origin(entry: str, origin: str) -> None:
    """The kinds of entries: a host, a host and all below it, a whole origin, anything."""
    assert refusal(["other.org", entry], origin, host="127.0.0.1") is None


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("example.com", "http://sub.example.com"),
        ("example.com", "http://example.com.evil.com"),
        (".example.com", "http://notexample.com"),
        ("https://example.com", "http://example.com"),
        ("https://example.com", "https://example.com:8443"),
        ("https://example.com", "https://example.com.evil.com"),
        ("example.com", "null"),
        ("", "null"),
        (".", "null"),
        ("example.com", "file://"),
        ("example.com", "http://[::1"),
        (".example.com", "http://evil.com\\.example.com"),
        (".example.com", "http://evil.com/.example.com"),
        ("example.com", "capacitor://example.com"),
        ("other.org", "http://example.com"),
        ("example.com", "example.com"),
        (".example.com", ".example.com"),
    ],
)
def test_an_origin_that_is_not_allowed(entry: str, origin: str) -> None:
    """LD-09: an entry matches what it says and no more; with a list, the socket's own host has to be in it."""
    assert refusal([entry], origin) is not None


def test_what_a_refusal_says() -> None:
    """A refusal names the origin, what is allowed, and where to allow it."""
    assert refusal(["a.org", "b.org"], "http://evil.com") == (
        "the page's origin 'http://evil.com' is not among the allowed ones, a.org, b.org; "
        "add its host to ALLOWED_HOSTS in a Django project, to allowed_origins elsewhere"
    )
    assert "the allowed ones, none;" in str(refusal([], "http://evil.com"))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://example.com", ["example.com"]),
        ("http://example.com", [".example.com"]),
        ("http://sub.example.com", [".example.com"]),
        ("http://example.com", None),
    ],
)
def test_a_plain_page_and_a_secure_socket(origin: str, allowed: list[str] | None) -> None:
    """Whoever can write into a page on its way opens no ``wss`` socket with the user's cookies, unless a whole origin
    says so; a ``ws`` socket behind a proxy that ends TLS looks plain, and its page is secure."""
    reason = refusal(allowed, origin, secure=True)
    assert reason is not None
    assert f"{origin!r} is plain http, and the socket is wss; to allow it, add the whole origin" in reason
    assert refusal([origin], origin, secure=True) is None
    secure = origin.replace("http://", "https://")
    assert refusal(allowed, secure, secure=True) is None
    assert refusal(allowed, secure, secure=False) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.com:3000", "example.com:8000"),
        ("http://example.com:8080", "example.com"),
        ("https://example.com", "example.com:8443"),
        ("https://example.com:8443", "example.com"),
    ],
)
@pytest.mark.parametrize("allowed", [None, ["example.com"], [".example.com"]])
def test_another_port_of_the_same_host(origin: str, host: str, allowed: list[str] | None) -> None:
    """It may be another application, whose pages get the same cookies; a whole origin allows it."""
    reason = refusal(allowed, origin, host)
    assert reason is not None
    assert f"{origin!r} has another port than this host, {host!r}" in reason
    assert refusal([origin], origin, host) is None


@pytest.mark.parametrize("bad", ["x\r\n\x1b[31m", "é", "http://" + "a" * 10_000])
def test_no_refusal_writes_what_came_as_it_came(bad: str) -> None:
    """A log line stays one line of a few hundred characters, whatever the header holds."""
    for origins in ([bad], [bad, bad]):
        reason = Origins(["example.com"]).refusal(
            [[b"origin", each.encode("latin-1")] for each in origins], secure=False
        )
        assert reason is not None
        assert reason.isascii()
        assert reason.isprintable()
        assert len(reason) < 500


HOST, GOOD, EVIL = [b"host", b"example.com"], [b"origin", b"http://example.com"], [b"origin", b"http://evil.com"]


@pytest.mark.parametrize("headers", [[GOOD], [[b"origin", b"null"]], [HOST, EVIL, GOOD], [HOST, GOOD, EVIL]])
def test_headers_that_cannot_be_compared(headers: list[list[bytes]]) -> None:
    """No host to compare with; or two origins, which no browser sends: a good one does not excuse the other."""
    assert Origins(None).refusal(headers, secure=False) is not None
