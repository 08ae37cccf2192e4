"""The lines of ``routechan.v1``, in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from routechan.asgi import lines
from routechan.asgi.lines import BrokenLine, Frame

from .clients import data, text


@pytest.mark.parametrize(
    ("supported", "offered", "chosen"),
    [
        ([], ["routechan.v1"], "routechan.v1"),
        ([], ["json", "routechan.v1", "routechan.v1.since.abc"], "routechan.v1"),
        (["json"], ["routechan.v1", "json"], "json"),
        (["json", "routechan.v1"], ["routechan.v1", "json"], "routechan.v1"),
        (["json"], ["routechan.v1", "xml"], "routechan.v1"),
        ([], ["routechan.v1.since.abc"], None),
        ([], ["routechan.v2"], None),
        ([], [], None),
    ],
)
def test_the_subprotocol(supported: list[str], offered: list[str], chosen: str | None) -> None:
    """A subprotocol of the site comes first, then ours; never one that was not offered."""
    assert lines.choose_subprotocol({"subprotocols": offered}, supported) == chosen


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ([b"routechan.v1"], []),
        ([b"routechan.v1, routechan.v1.since.abc"], []),
        ([b"json,routechan.v1 , xml"], [b"json, xml"]),
        ([b"routechan.v1", b"routechan.v1.since.abc, json"], [b"json"]),
        ([b"json, routechan.v1.since.abc"], [b"json, routechan.v1.since.abc"]),
        ([b"json,xml"], [b"json,xml"]),
    ],
)
def test_consumers_do_not_see_the_offer(values: list[bytes], left: list[bytes]) -> None:
    """What the client offers to us is not among the headers; those of a client that offers nothing stay as they are."""
    name = b"sec-websocket-protocol"
    connect: dict[str, Any] = {"headers": [[b"host", b"x"], *([name, value] for value in values), [b"a", b"b"]]}
    offered = [offer.strip() for value in values for offer in value.decode().split(",")]
    lines.hide_offer({"subprotocols": offered}, connect)
    assert connect["headers"] == [[b"host", b"x"], *([name, value] for value in left), [b"a", b"b"]]


@pytest.mark.parametrize(
    ("event", "line", "framed"),
    [
        (text("a\nb"), "", text("\na\nb")),
        (text("größer"), "kQGT_2x9", text("kQGT_2x9\ngrößer")),
        (data(b"\n\xff"), "", data(b"\n\n\xff")),
        (data(b"a"), "kQGT_2x9", data(b"kQGT_2x9\na")),
    ],
)
def test_a_message_behind_a_line(event: Any, line: str, framed: Any) -> None:
    """Text stays text and bytes stay bytes; the body is as it was."""
    assert lines.framed(event, line) == framed


def test_a_message_to_many_is_framed_once() -> None:
    """Sockets that get a message behind the same line get the same object; another line makes another."""
    event = text("hello")
    first = lines.framed(event, "abc")
    assert lines.framed(event, "abc") is first
    assert lines.framed(event, "def") == text("def\nhello")
    assert (event["type"], event["text"]) == ("websocket.send", "hello")


@pytest.mark.parametrize(
    ("said", "frame"),
    [
        (("joined", "kQGT"), text("!joined kQGT")),
        (("ask", 7, "who?"), text("!ask 7\nwho?")),
        (("ask", 7, b"\xff"), data(b"!ask 7\n\xff")),
        (("failed", 7, ""), text("!failed 7")),
    ],
)
def test_what_the_server_says(said: Any, frame: Any) -> None:
    """A word, an argument, and a body where there is one."""
    assert lines.said(*said) == frame


def received(body: str | bytes) -> dict[str, Any]:
    key = "text" if isinstance(body, str) else "bytes"
    return {"type": "websocket.receive", "text": None, "bytes": None, key: body}


@pytest.mark.parametrize(
    ("frame", "word", "number", "body"),
    [
        ("\nhello", "", 0, "hello"),
        ("\n\nhello\n", "", 0, "\nhello\n"),
        ("\n", "", 0, ""),
        ("", "", 0, ""),
        (b"\n\xff\n", "", 0, b"\xff\n"),
        (b"", "", 0, b""),
        ("!ask 7\nwho?", "ask", 7, "who?"),
        (b"!ask 999999999999999\nwho?", "ask", 999999999999999, b"who?"),
        ("!answer 12\n", "answer", 12, ""),
        ("!answer 12", "answer", 12, ""),
        ("!failed 0\nno", "failed", 0, "no"),
    ],
)
def test_a_frame_of_a_client(frame: str | bytes, word: str, number: int, body: str | bytes) -> None:
    """The line is taken off, and the body is left as it was."""
    read = lines.read(received(frame))
    key = "text" if isinstance(body, str) else "bytes"
    assert read == Frame(word, number, {"type": "websocket.receive", key: body})


@pytest.mark.parametrize(
    "frame",
    [
        "hello",
        "hello\nthere",
        " \nhello",
        "!ask\nwho?",
        "!ask 7 \nwho?",
        "!ask 1234567890123456\nwho?",
        "!ask \u0667\nwho?",
        "!joined kQGT\n",
        "!ASK 7\n",
        "!ask 7\r\nwho?",
        "x" * 1_000_000,
        b"hello\n",
        b"!ask \xb2\n",
        b"\xff\nhello",
    ],
)
def test_a_broken_line(frame: str | bytes) -> None:
    """What is no line of a client is refused, and the error says what came."""
    with pytest.raises(BrokenLine, match="begins with an empty line, or with one such as '!ask 7', not with") as caught:
        lines.read(received(frame))
    assert len(str(caught.value)) < 200
