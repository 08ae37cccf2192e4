"""The lines of ``routechan.v1``: what stands before the body of each frame on a socket whose client asked for them.

The specification is ``docs/spec/client-protocol.rst``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import AnyStr, NamedTuple, Protocol

from ..encoding import Content
from . import translation
from .translation import LATEST, Event, Scope

#: The subprotocol that a client offers and a server selects.
PROTOCOL = "routechan.v1"

#: How the subprotocol begins that carries the last id of a client that comes back.
SINCE = "routechan.v1.since."

#: The words of lines that carry the number of a question.
ASK, ANSWER, FAILED = "ask", "answer", "failed"

_HEADER = b"sec-websocket-protocol"

#: Where the last id is on an event stream: in a header, and in the query of a client that can't set it.
_ID_HEADER, _ID_IN_QUERY = b"last-event-id", b"lastEventId="

#: The key of an event to many sockets: the line that it was framed with last, and the framed event.
_FRAMED = "routechan.framed"

#: Characters within which the line of a client ends: no line that it may send has more.
_LONGEST = 32

_numbered = re.compile(r"!(ask|answer|failed) ([0-9]{1,15})").fullmatch


class BrokenLine(ValueError):
    """A client has sent a line that the protocol does not have."""


class Frame(NamedTuple):
    """What a client has sent.

    Args:
        word: ``ASK``, ``ANSWER`` or ``FAILED``; empty for a message that asks nothing.
        number: That of the question; 0 where there is none.
        event: The ASGI event with the body.
    """

    word: str
    number: int
    event: Event


def choose_subprotocol(scope: Scope, supported: Iterable[str]) -> str | None:
    """The subprotocol to accept with: one of the site, else this protocol, if the client offers it.

    Args:
        scope: The connection's ASGI scope.
        supported: The subprotocols that the site knows.
    """
    offered = scope.get("subprotocols") or ()
    return translation.choose_subprotocol(scope, supported) or (PROTOCOL if PROTOCOL in offered else None)


def hide_offer(scope: Scope, connect: Content) -> None:
    """Take what is between the client and the server out of a message for consumers.

    Args:
        scope: The connection's ASGI scope.
        connect: The content of its ``websocket.connect``, whose headers change.
    """
    if PROTOCOL not in (scope.get("subprotocols") or ()):
        return
    headers: list[list[bytes]] = []
    for name, value in connect["headers"]:
        if name == _HEADER:
            offers = [offer.strip() for offer in value.split(b",")]
            value = b", ".join(offer for offer in offers if not _is_ours(offer))
            if not value:
                continue
        headers.append([name, value])
    connect["headers"] = headers


def since(scope: Scope) -> str | None:
    """The id that a client comes back with on a WebSocket; None if it has none.

    Args:
        scope: The connection's ASGI scope.
    """
    offered = scope.get("subprotocols") or ()
    return next((offer[len(SINCE) :] for offer in offered if offer.startswith(SINCE)), None)


def last_event_id(scope: Scope) -> str | None:
    """The id that a client comes back with on an event stream; None if it has none.

    Args:
        scope: The ASGI scope of the request.
    """
    found = (value.decode("latin-1") for name, value in scope.get("headers") or () if name.lower() == _ID_HEADER)
    return next(found, "") or None


def id_from_query(scope: Scope) -> Scope:
    """Move an id from the query into the header: as if the page's ``EventSource`` had come back by itself.

    Args:
        scope: The ASGI scope of a request for an event stream.

    Returns:
        The scope without the id in its query. An id in the header stays: the browser has heard it later.
    """
    parts = (scope.get("query_string") or b"").split(b"&")
    ids = [part[len(_ID_IN_QUERY) :] for part in parts if part.startswith(_ID_IN_QUERY)]
    if not ids:
        return scope
    headers = list(scope.get("headers") or ())
    if last_event_id(scope) is None:
        headers.append((_ID_HEADER, ids[-1]))
    query = b"&".join(part for part in parts if not part.startswith(_ID_IN_QUERY))
    return {**scope, "headers": headers, "query_string": query}


def _is_ours(offer: bytes) -> bool:
    return offer == PROTOCOL.encode() or offer.startswith(SINCE.encode())


def framed(event: Event, line: str = "") -> Event:
    """The message ``event`` behind ``line``.

    A message to a group is the same ``event`` for all its members, and framed once for those in a row who get it behind
    the same line.

    Args:
        event: An ASGI event ``websocket.send``, which keeps the result.
        line: Without its line feed.
    """
    found = event.get(_FRAMED)
    if found is not None and found[0] == line:
        made: Event = found[1]
        return made
    text = event.get("text")
    if text is not None:
        made = {"type": "websocket.send", "text": f"{line}\n{text}"}
    else:
        made = {"type": "websocket.send", "bytes": b"%b\n%b" % (line.encode(), event["bytes"])}
    if LATEST in event:
        made[LATEST] = event[LATEST]
    if translation.LATEST in event:
        made[translation.LATEST] = event[translation.LATEST]
    event[_FRAMED] = line, made
    return made


def said(word: str, argument: object, body: str | bytes = "") -> Event:
    """The frame ``!word argument``, with a ``body``: what the server itself says.

    Args:
        word: Such as ``joined`` or ``ASK``.
        argument: An id or a number.
        body: Text or bytes; nothing where it is empty.
    """
    line = f"!{word} {argument}"
    if isinstance(body, bytes):
        return {"type": "websocket.send", "bytes": b"%b\n%b" % (line.encode(), body)}
    return {"type": "websocket.send", "text": f"{line}\n{body}" if body else line}


def read(event: Event) -> Frame:
    """The frame of a client, apart from its line.

    Args:
        event: An ASGI event ``websocket.receive``.

    Raises:
        BrokenLine: Its line is none that a client may send.
    """
    text = event.get("text")
    if text is not None:
        line, body = _parted(text, text.find("\n", 0, _LONGEST))
        message: Event = {"type": "websocket.receive", "text": body}
    else:
        data = event.get("bytes") or b""
        first, rest = _parted(data, data.find(b"\n", 0, _LONGEST))
        line, message = first.decode("latin-1"), {"type": "websocket.receive", "bytes": rest}
    if not line:
        return Frame("", 0, message)
    found = _numbered(line)
    if found is None:
        raise BrokenLine(f"a frame begins with an empty line, or with one such as '!ask 7', not with {line[:40]!r}")
    return Frame(found[1], int(found[2]), message)


def _parted(frame: AnyStr, end: int) -> tuple[AnyStr, AnyStr]:
    return (frame, frame[:0]) if end < 0 else (frame[:end], frame[end + 1 :])


# On an event stream


def _with_id(event: Event, line: str) -> Event:
    return {**event, "id": line} if line else event


def _told(word: str, argument: object, body: str | bytes = "") -> Event:
    return {"type": "websocket.send", "text": word, "event": word, "id": str(argument)}


class _Said(Protocol):
    def __call__(self, word: str, argument: object, body: str | bytes = "") -> Event:
        """The event that says ``word`` with ``argument`` and ``body``."""


class Voice(NamedTuple):
    """How the server itself speaks to a client.

    Args:
        framed: A message with an id, which is empty where it has none.
        said: A word, with an id or a number, and a body.
    """

    framed: Callable[[Event, str], Event]
    said: _Said


#: On a WebSocket.
VOICE = Voice(framed, said)

#: On an event stream, whose events have an ``id`` and a type, ``event``, of their own.
STREAM_VOICE = Voice(_with_id, _told)
