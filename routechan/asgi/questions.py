"""The questions that are open on one socket, of its client and to its client."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from ..encoding import Content
from ..interfaces import ANSWER, ASK, LOST, MANY, NO, NUMBER, REFUSED

#: Questions that may be open on one socket, in each direction.
MOST = 100

Tell = Callable[[str, Content], None]


class Talk(NamedTuple):
    """What a message to a socket has to do with a question.

    Args:
        number: That of the question: the client's, or that of who asks.
        asks: Where the answer goes to; None for an answer to the client.
        seconds: How long the answer is waited for.
        failed: Why the client gets no answer.
    """

    number: int
    asks: str | None = None
    seconds: float = 0.0
    failed: str | None = None


def talk_of(content: Content) -> Talk:
    """What the message ``content`` to a socket has to do with a question: it has ``ANSWER`` or ``ASK``."""
    if ANSWER in content:
        return Talk(content[ANSWER], failed=content.get(NO))
    answers_to, number, seconds = content[ASK]
    return Talk(number, answers_to, seconds)


class _Asked(NamedTuple):
    """A question to the client: where the answer goes to, its number there, and when nobody waits any more."""

    answers_to: str
    number: int
    ends: float


class Questions:
    """Those of one socket. Lifetime: from the first question to the end of the connection.

    Args:
        tell: Sends a message to a channel.
    """

    __slots__ = ("_asked", "_last", "_received", "_tell")

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last = 0  # number of the question that the client was asked last
        self._asked: dict[int, _Asked] = {}
        self._received: set[int] = set()

    @property
    def waits(self) -> bool:
        """Whether an answer of the client is waited for."""
        return bool(self._asked)

    def receive(self, number: int) -> str | None:
        """Note that the client asks a question.

        Args:
            number: The number that it gave the question.

        Returns:
            Why it is not answered; None if a consumer is to be asked.
        """
        if len(self._received) >= MOST and number not in self._received:
            return f"{MOST} questions of this socket are open."
        self._received.add(number)
        return None

    def is_open(self, number: int) -> bool:
        """Whether the client has a question with this ``number`` open."""
        return number in self._received

    def answer(self, number: int) -> bool:
        """Whether the client's question ``number`` was open, which it is no more."""
        if number not in self._received:
            return False
        self._received.discard(number)
        return True

    def ask(self, talk: Talk) -> int | None:
        """The number of a question to the client; None, which is told, where too many are open.

        Args:
            talk: The question.
        """
        now, asks = monotonic(), str(talk.asks)
        if len(self._asked) >= MOST:
            self._asked = {number: asked for number, asked in self._asked.items() if asked.ends > now}
        if len(self._asked) >= MOST:
            self._tell(asks, {NUMBER: talk.number, NO: MANY})
            return None
        self._last += 1
        self._asked[self._last] = _Asked(asks, talk.number, now + talk.seconds)
        return self._last

    def answered(self, number: int, content: Content, *, refused: bool) -> bool:
        """Take what the client says to the question ``number``.

        Args:
            number: Of the question.
            content: The answer, with ``text`` or ``bytes``.
            refused: Whether it says that it does not answer, and why.

        Returns:
            Whether that question is open.
        """
        asked = self._asked.pop(number, None)
        if asked is None:
            return False
        if refused:
            why = content.get("text") or (content.get("bytes") or b"").decode(errors="replace")
            content = {NO: REFUSED, "why": why}
        self._tell(asked.answers_to, {NUMBER: asked.number, **content})
        return True

    def lost(self) -> None:
        """The socket is gone: tell those who wait for answers."""
        asked, self._asked = self._asked, {}
        for each in asked.values():
            self._tell(each.answers_to, {NUMBER: each.number, NO: LOST})
