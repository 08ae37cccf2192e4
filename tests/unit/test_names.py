"""The grammar of channel and group names (``layers-and-protocol`` 1.1, 1.2)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routechan import Message, names
from routechan.exceptions import InvalidName, RoutechanError

GOOD_CHANNELS = [
    "http.request",
    "http.response!ab0def",
    "http.request.body?ab0def",
    "0.a_b-c?d_e-f.1",
    "foo!",
    "__wait__.websocket.send.abc?def",
    "-",
    "a" * 99,
]

BAD_CHANNELS = ["", "!a", "?a", "a b", "a:b", "a+b", "£", "a!b!c", "a?b?c", "a!b?c", "a?b!c", "a?", "foo£", "a" * 100]

#: What the loose patterns of older layers let through: a trailing newline, digits and letters outside ASCII.
LOOSE = ["a\n", "a!b\n", "a?\n", "٣abc", "a!é", "a?٣"]


@pytest.mark.parametrize(
    ("check", "name"),
    [
        *((names.check_channel_name, name) for name in GOOD_CHANNELS),
        *((names.check_group_name, name) for name in ("foo.bar", "0.a_b-c", "chat", "a" * 99)),
        *((names.check_receive_name, name) for name in ("foo", "foo!", "foo?bar")),
    ],
)
def test_good_names(check: Any, name: str) -> None:
    """items 34, 40, 137, section 1.1: the name itself comes back; one to receive on ends at ``!``."""
    assert check(name) is name


@pytest.mark.parametrize(
    ("check", "name"),
    [
        *((names.check_channel_name, name) for name in (*BAD_CHANNELS, *LOOSE)),
        *((names.check_group_name, name) for name in (*BAD_CHANNELS, *LOOSE, "foo!bar", "foo?bar", "foo!", "a=b")),
    ],
)
def test_bad_names(check: Any, name: str) -> None:
    """items 35, 41, 137, section 1.1: ASCII to their end (acceptance edge cases); a group has no type character."""
    with pytest.raises(InvalidName):
        check(name)


@pytest.mark.parametrize(
    ("check", "name", "text"),
    [
        (names.check_channel_name, 5, "a channel name is a str, not int: 5"),
        (names.check_channel_name, None, "a channel name is a str, not NoneType: None"),
        (names.check_channel_name, b"foo", "a channel name is a str, not bytes: b'foo'"),
        (names.check_channel_name, Message({}, "a", None), "; write message.reply_channel"),
        (names.check_channel_name, "a" * 100, "a channel name has at most 99 characters, not 100: 'aaa"),
        (
            names.check_channel_name,
            "a b",
            "a channel name holds ASCII letters, digits, '-', '_' and '.', and at most one '!' or '?' "
            "(a '?' not at the end), not 'a b'",
        ),
        (names.check_receive_name, "foo!bar", "receive from 'foo!', the part up to '!', not from 'foo!bar'"),
        (names.check_group_name, 5, "a group name is a str, not int: 5"),
        (names.check_group_name, "a" * 101, "a group name has at most 99 characters, not 101: 'aaa"),
        (names.check_group_name, "a!b", "a group name holds ASCII letters, digits, '-', '_' and '.', not 'a!b'"),
    ],
)
def test_what_the_errors_say(check: Any, name: Any, text: str) -> None:
    """items 138, 139: what came and what was expected."""
    with pytest.raises(InvalidName, match=re.escape(text)):
        check(name)


def test_a_bad_name_is_a_type_error() -> None:
    """section 1.1: what 1.x raised, within our own tree."""
    assert issubclass(InvalidName, TypeError)
    assert issubclass(InvalidName, RoutechanError)


@pytest.mark.parametrize(
    ("channel", "queue"),
    [("foo", "foo"), ("foo!", "foo!"), ("foo!bar", "foo!"), ("foo?bar", "foo?bar"), ("a.b!c.d", "a.b!")],
)
def test_the_queue_of_a_channel(channel: str, queue: str) -> None:
    """section 1.2: up to and including ``!``, else the whole name."""
    assert names.queue_name(channel) == queue


@given(st.text(max_size=120))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """section 1.1: the documented grammar, in other words, decides."""
    body = re.fullmatch(r"(?a:[\w\-.]+)([?!](?a:[\w\-.]*))?", text)
    good = body is not None and len(text) < 100 and not text.endswith("?")
    if good:
        assert names.check_channel_name(text) == text
    else:
        with pytest.raises(InvalidName):
            names.check_channel_name(text)


def test_bytes_become_text() -> None:
    """CH-01, RT-03: ASCII; others stay as they were given."""
    assert names.as_text(b"chat") == "chat"
    assert names.as_text("chat") == "chat"
    assert names.as_text(5) == 5
    with pytest.raises(UnicodeDecodeError):
        names.as_text("é".encode())


def test_random_parts() -> None:
    """A13: letters of the asked number, that do not repeat."""
    parts = {names.random_part(12) for _ in range(100)}
    assert len(parts) == 100
    assert all(re.fullmatch("[a-zA-Z]{12}", part) for part in parts)


@pytest.mark.parametrize("prefix", ["chat", "chat."])
def test_new_channels(prefix: str) -> None:
    """section 1.1: process-specific, unused, with one dot between prefix and process."""
    first, second = names.new_channel(prefix, "here"), names.new_channel(prefix, "here")
    assert re.fullmatch(r"chat\.here![a-zA-Z]{12}", first)
    assert first != second
