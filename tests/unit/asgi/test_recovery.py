"""What a socket keeps of the histories of its groups, and when its client is told."""

from __future__ import annotations

from typing import Any

import pytest

from routechan.asgi import recovery
from routechan.asgi.ids import Ids
from routechan.asgi.recovery import Recovery
from routechan.asgi.translation import SocketReply, socket_reply
from routechan.layers.claims import CLAIMS, Claims, tag_of


class Socket:
    """Keeps what it is to send: texts, and words. Lifetime: test."""

    speaks = True
    voice = None
    recovery: Recovery | None = None

    def __init__(self, accepted: bool = False) -> None:
        self.accepted = accepted
        self.closed = False
        self.sent: list[tuple[str, object]] = []

    def reply(self, reply: SocketReply, id: str = "") -> None:
        _, data, close, _ = reply
        if self.closed:
            return
        if close is not None:
            self.closed = True
        elif not self.accepted:
            self.accepted = True
            self.sent.append(("accepted", ""))
            if self.recovery is not None:
                self.recovery.accepted()
        if data is not None:
            self.sent.append((data["text"], id))

    def say(self, word: str, argument: object) -> None:
        assert self.accepted
        self.sent.append((f"!{word}", argument))

    @property
    def heard(self) -> list[str]:
        return [what for what, _ in self.sent]


IDS = Ids(["the secret"], 300.0)


def made(accepted: bool = False, claims: Claims | None = None) -> tuple[Socket, Recovery]:
    socket = Socket(accepted)
    socket.recovery = Recovery(socket, IDS, claims)
    return socket, socket.recovery


def text(value: str) -> Any:
    return socket_reply({"text": value})


def test_one_line_for_all_that_an_event_joins() -> None:
    """It waits for the end of the consumer, and for groups that a worker has added the socket to."""
    socket, told = made(True)
    told.began()
    told.joined("a", (1, 0), None)
    told.joining("b")
    told.flushed()
    assert socket.heard == []
    told.joined("b", (1, 0), None)
    assert socket.heard == ["!joined"]
    told.joined("b", (2, 0), None)  # again
    told.joined("c", (2, 0), True)
    assert socket.heard == ["!joined", "!recovered"]


def test_a_group_that_is_left_before_it_is_joined() -> None:
    """The line does not wait for it."""
    socket, told = made(True)
    told.joining("a")
    told.joined("b", (1, 0), None)
    told.left("a")
    assert socket.heard == ["!joined"]


def test_what_comes_while_the_connect_consumer_runs() -> None:
    """It is kept, with the ids it had, until the socket is accepted, and comes before what is accepted with."""
    socket, told = made()
    told.began()
    told.caught_up([(text("one"), (1, 0)), (text("two"), (2, 0))], "a")
    told.joined("a", (2, 0), True)
    assert socket.heard == []
    socket.reply(socket_reply({"accept": True, "text": "welcome"}))
    told.flushed()
    assert socket.heard == ["accepted", "one", "two", "welcome", "!recovered"]
    first, second = (id for _, id in socket.sent[1:3])
    assert IDS.read(str(first)).take("a") == "1-0"
    assert IDS.read(str(second)).take("a") == "2-0"


def test_a_consumer_that_says_nothing() -> None:
    """Its socket is opened by the first message, as without a history; not by a word."""
    socket, told = made()
    told.began()
    told.joined("a", (1, 0), False)
    told.flushed()
    assert socket.heard == []
    told.placed(text("one"), "a", (2, 0))
    assert socket.heard == ["accepted", "!gap", "one"]


def test_too_much_while_the_connect_consumer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is given up for a gap."""
    monkeypatch.setattr(recovery, "HELD", 3)
    socket, told = made()
    told.began()
    told.caught_up([(text(str(number)), (number, 0)) for number in range(5)], "a")
    told.joined("a", (4, 0), True)
    socket.reply(socket_reply({"accept": True}))
    told.flushed()
    assert socket.heard == ["accepted", "!gap", "3", "4"]


def test_messages_that_the_process_misses() -> None:
    """The client is told where it stood, so that it may come back from there."""
    socket, told = made(True)
    told.joined("a", (0, 1), None)
    told.placed(text("one"), "a", (1, 0))
    told.missing("a")
    word, id = socket.sent[-1]
    assert word == "!gap"
    assert IDS.read(str(id)).take("a") == "1-0"


def test_a_message_of_a_group_that_it_has_left() -> None:
    """It may still come; ids do not have the group any more."""
    socket, told = made(True)
    told.joined("a", (0, 1), None)
    told.left("a")
    told.placed(text("late"), "a", (1, 0))
    what, id = socket.sent[-1]
    assert what == "late"
    assert IDS.read(str(id)).take("a") is None


@pytest.mark.parametrize(("recovered", "word"), [(None, "!gap"), (True, "!recovered"), (False, "!gap")])
def test_what_a_worker_did_with_a_claim(recovered: bool | None, word: str) -> None:
    """One that it did not look at is a gap; either way it goes with no later event."""
    socket, told = made(True, IDS.read(IDS.write((False, ((tag_of("a", IDS.tag_keys[0]), (1, 0)),)))))
    assert CLAIMS in told.headers()
    told.joining("a")
    assert told.headers() == {}
    told.joined("a", (2, 0), recovered)
    assert socket.heard == [word]
    assert told.headers() == {}


def test_a_group_that_a_worker_could_not_add_it_to() -> None:
    """Its claim is there for another try."""
    _, told = made(True, IDS.read(IDS.write((False, ((tag_of("a", IDS.tag_keys[0]), (1, 0)),)))))
    told.joining("a")
    told.left("a")
    assert CLAIMS in told.headers()
