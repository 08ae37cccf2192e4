"""Which pages may open a socket (design section 7, LD-09)."""

from __future__ import annotations

import pytest

from routechan.asgi.origin import Origins


def refusal(allowed: list[str] | None, origin: str | None, host: str = "example.com") -> str | None:
    headers = [[b"host", host.encode()]]
    if origin is not None:
        headers.append([b"origin", origin.encode("latin-1")])
    return Origins(allowed).refusal(headers)


@pytest.mark.parametrize("allowed", [None, [], ["example.com"]])
def test_a_client_without_an_origin_is_no_browser(allowed: list[str] | None) -> None:
    """item 159, 6.8: it is let through, whatever is allowed."""
    assert refusal(allowed, None) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com:8443"),
        ("http://example.com:3000", "example.com:8000"),
        ("HTTP://EXAMPLE.com", "example.COM"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[::1]", "[::1]"),
    ],
)
def test_the_host_itself(origin: str, host: str) -> None:
    """Without a list, the host the socket was opened on; the port may be another, IPv6 works (OB-26)."""
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
        ("null", "example.com"),
        ("file://", "example.com"),
        ("", "example.com"),
        ("null", ""),
        ("", ""),
        ("file://", ""),
    ],
)
def test_another_host(origin: str, host: str) -> None:
    """LD-09: also what looks alike, has no host (``null``, ``file://``), or cannot be read."""
    reason = refusal(None, origin, host)
    assert reason is not None
    assert "is not this host" in reason
    assert "allow it with allowed_origins" in reason


def test_no_host_header() -> None:
    """Nothing to compare with: refused."""
    assert Origins(None).refusal([[b"origin", b"http://example.com"]]) is not None
    assert Origins(None).refusal([[b"origin", b"null"]]) is not None


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
    ],
)
def test_an_origin_that_is_not_allowed(entry: str, origin: str) -> None:
    """LD-09: an entry matches what it says and no more."""
    assert refusal([entry], origin) is not None


def test_a_list_replaces_the_host() -> None:
    """With a list, the host the socket was opened on has to be in it."""
    assert refusal(["other.org"], "http://example.com", host="example.com") is not None


def test_what_a_refusal_says() -> None:
    """design section 7: the origin, what is allowed, and where to allow it."""
    assert refusal(["a.org", "b.org"], "http://evil.com") == (
        "the page's origin 'http://evil.com' is not among the allowed ones, a.org, b.org; "
        "add its host to ALLOWED_HOSTS in a Django project, to allowed_origins elsewhere"
    )
    assert "the allowed ones, none;" in str(refusal([], "http://evil.com"))


def test_two_origin_headers() -> None:
    """No browser sends two: one good one does not excuse the other, whichever comes last."""
    headers = [[b"host", b"example.com"], [b"origin", b"http://evil.com"], [b"origin", b"http://example.com"]]
    assert Origins(None).refusal(headers) is not None
    assert Origins(None).refusal([headers[0], headers[2], headers[1]]) is not None
