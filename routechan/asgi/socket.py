"""What a reply to a WebSocket does, in each state of the socket."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from ..encoding import Content
from ..inspection import counted
from ..interfaces import LOST, NO, NUMBER, QUESTION, UNABLE
from ..limits.rules import InARow
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats
from . import lines
from .lines import Voice
from .options import ServerOptions
from .questions import Questions, Talk, Tell
from .recovery import Recovery
from .translation import CHANGED_ELSEWHERE, Denial, Event, SocketReply, may_close_with, size_of, socket_reply
from .waiting import Waiting
from .writer import Send, Writer

logger = logging.getLogger("routechan")

#: The close code "service restart", after which clients reconnect.
RESTART = 1012


class Socket(Writer):
    """Carries out the replies to one WebSocket. Lifetime: connection.

    It is connecting, then open once accepted, then closed; ``layers-and-protocol`` 6.9 says what a reply does in each
    state.

    Args:
        name: The reply channel.
        path: The path it was opened on, for log records.
        client: Whose it is, see ``Outlet``.
        send: The ASGI ``send`` of the connection.
        take: What takes its events without a coroutine, see ``Writer``.
        options: Its limits, see ``ServerOptions``.
        waiting: Counts what waits for all clients.
        repeats: What is logged about the sockets of the server.
        subprotocol: The subprotocol to accept with, or None.
        denial: Makes the events that refuse the handshake.
        ended: Called when this side closes the socket, with whether to wait for the client's closing handshake.
        look: Called to read what the client sends although its events have not been consumed: whether it has left, or
            answers.
        tell: Sends a message to a channel, for those who ask the client.
    """

    # A thread never waits for a slow client: that could last as long as the connection. The socket is closed instead.
    paced = False

    __slots__ = (
        "_capacity",
        "_denial",
        "_ended",
        "_ending",
        "_failures",
        "_look",
        "_most",
        "_options",
        "_questions",
        "_repeats",
        "_tell",
        "accepted",
        "changes",
        "client",
        "close_code",
        "closed",
        "dropped",
        "name",
        "path",
        "recovery",
        "speaks",
        "subprotocol",
        "told",
        "voice",
    )

    def __init__(
        self,
        name: str,
        path: str,
        client: str,
        send: Send,
        *,
        take: Callable[[Event], bool] | None = None,
        options: ServerOptions,
        waiting: Waiting,
        repeats: Repeats,
        subprotocol: str | None,
        denial: Denial,
        ended: Callable[[bool], object],
        look: Callable[[], object],
        tell: Tell | None = None,
    ) -> None:
        super().__init__(send, options.socket_bytes, waiting, take)
        self.name = name
        self.path = path
        self.client = client
        self.subprotocol = subprotocol
        self.speaks = subprotocol == lines.PROTOCOL  # whether each frame begins with a line
        #: How ids are told to its client; None if they are not.
        self.voice: Voice | None = lines.VOICE if self.speaks else None
        #: Where it is in histories; None for one whose client is not told, or where no group keeps one.
        self.recovery: Recovery | None = None
        self.accepted = False
        self.closed = False
        self.told = False  # whether consumers have been told that the socket is gone
        self.close_code: int | None = None  # the code this side closed with
        self.changes = 0
        self.dropped = 0  # messages that its slow client did not take
        self._options = options
        self._capacity = options.socket_capacity
        self._most = sys.maxsize if options.frame_bytes is None else options.frame_bytes
        self._repeats = repeats
        self._failures: InARow | None = None
        self._denial = denial
        self._ended = ended
        self._look = look
        self._tell = tell or _tell_nobody
        self._questions: Questions | None = None
        self._ending = False  # the server process is stopping

    def deliver(self, content: Content) -> None:
        """Carry out a message that was sent to the reply channel.

        Args:
            content: The message.

        Raises:
            InvalidContent: The message asks for nothing that a socket can do.
        """
        self.reply(socket_reply(content))

    def reply(self, reply: SocketReply, id: str = "") -> None:
        """Carry out a parsed ``reply``, whose data is given an ``id``; closed sockets send nothing."""
        if reply is CHANGED_ELSEWHERE:
            self.changes += 1
            return
        accept, data, close, reason = reply
        if self.closed:
            if isinstance(reason, Talk):
                self._talk(data, reason)
            return
        if self.accepted:
            if reason is not None and isinstance(reason, Talk):
                self._talk(data, reason)
                return
            if data is not None:
                if self.voice is not None:
                    data = self.voice.framed(data, id)
                if not self.write(data, self._capacity):
                    self._overflow_with(data)
                    return
                counters.frames_sent += 1
            if close is not None and not self.closed:
                self._close(close)
        elif accept is False:
            self._deny(reason if isinstance(reason, str) else None)
        elif accept or data is not None:
            self._accept()
            self.reply(reply, id)
        elif close is not None:
            self._deny(None)

    # Questions

    def message(self, frame: Event) -> Event | None:
        """The message for a consumer in a ``frame`` of a client that sends lines.

        Args:
            frame: The ASGI event ``websocket.receive``.

        Returns:
            The event without its line, with ``QUESTION`` where the client asks; None where no consumer is to have it.
        """
        try:
            word, number, event = lines.read(frame)
        except lines.BrokenLine as error:
            self.refuse(1002, str(error))
            return None
        if not word:
            return event
        if word != lines.ASK:
            if not self._take_answer(word, number, event):
                self._count_late()
            return None
        if self._questions is None:
            self._questions = Questions(self._tell)
        if self._questions.is_open(number):
            self.refuse(1002, f"the question {number} is open already; count questions, and use each number once")
            return None
        reason = self._questions.receive(number)
        if reason is not None:
            self.say(lines.FAILED, number, reason)
            return None
        event[QUESTION] = number
        return event

    def takes_answer(self, frame: Event) -> bool:
        """Whether ``frame``, which came while an event is consumed, was an answer that somebody waits for."""
        if not self.awaits_answer or size_of(frame) > self._most:
            return False
        try:
            word, number, event = lines.read(frame)
        except lines.BrokenLine:
            return False
        return word in (lines.ANSWER, lines.FAILED) and self._take_answer(word, number, event)

    @property
    def awaits_answer(self) -> bool:
        """Whether an answer of the client is waited for."""
        return self._questions is not None and self._questions.waits

    def left(self) -> None:
        """The client has left, and what it sent before is not consumed yet: it answers nothing any more."""
        if self._questions is not None:
            self._questions.lost()

    def _take_answer(self, word: str, number: int, event: Event) -> bool:
        content = {key: event[key] for key in ("text", "bytes") if key in event}
        return self._questions is not None and self._questions.answered(number, content, refused=word == lines.FAILED)

    def _count_late(self) -> None:
        counters.answers_late += 1
        more = self._repeats.more("answers_late")
        if more is not None:
            logger.info(
                "The client of %s (%r) has answered a question that nobody waits for any more%s",
                self.name,
                self.path,
                more,
                extra=log_fields(self.name, connection=self.name),
            )

    def _talk(self, data: Event | None, talk: Talk) -> None:
        """Send the client an answer or a question with the body ``data``."""
        body = "" if data is None else data["text"] if data.get("text") is not None else data["bytes"]
        if talk.asks is None:
            if self._questions is not None and self._questions.answer(talk.number):
                word, body = (lines.ANSWER, body) if talk.failed is None else (lines.FAILED, talk.failed)
                self.say(word, talk.number, body)
            return
        if self.closed or not self.speaks:
            self._tell(talk.asks, {NUMBER: talk.number, NO: LOST if self.closed else UNABLE})
            return
        if self._questions is None:
            self._questions = Questions(self._tell)
        number = self._questions.ask(talk)
        if number is not None:
            self._look()
            self.say(lines.ASK, number, body)

    def say(self, word: str, argument: object, body: str | bytes = "") -> None:
        """Tell a client that asked for it what the server itself says; nothing where the socket is not open.

        Args:
            word: Such as ``joined``, without the ``!``.
            argument: An id or a number.
            body: What comes behind the line.
        """
        if self.voice is None or not self.accepted or self.closed:
            return
        frame = self.voice.said(word, argument, body)
        if self.write(frame, self._capacity):
            counters.frames_sent += 1
        else:
            self._overflow_with(frame)

    def _overflow_with(self, frame: Event) -> None:
        self.overflow("socket_bytes" if self.is_over(frame) else "socket_capacity", frame)

    def deny(self, reason: str) -> None:
        """Refuse the handshake: the client sees HTTP 403, consumers see a disconnect with 1006 (6.11).

        Args:
            reason: What a client is told that is to know.
        """
        self._end(self._denial(reason), 1006)

    def refuse(self, code: int, reason: str) -> None:
        """End a socket that cannot go on: close it with ``code``, or deny its handshake for ``reason``."""
        if self.closed:
            return
        if self.accepted:
            self._end([{"type": "websocket.close", "code": code}], code)
        else:
            self.deny(reason)

    def _deny(self, reason: str | None) -> None:
        more = self._repeats.more("refused")
        if more is not None:
            why = f": {reason}" if reason else ""
            logger.info("WebSocket %r is refused by its consumer%s%s", self.path, why, more)
        self.deny(reason or "The consumer refused this socket.")

    def end(self, told: bool = False) -> None:
        """Close because the server process is stopping: ask the client to reconnect, and do not wait for its answer.

        Args:
            told: Whether others have told consumers that the socket is gone.
        """
        self._ending = True
        self.told = self.told or told
        if self.closed:
            self._ended(False)
        elif self.accepted:
            self._end([{"type": "websocket.close", "code": RESTART}], RESTART, wait=False)
        else:
            self._end([{"type": "websocket.close", "code": 1000}], 1006, wait=False)

    def end_untaken(self) -> None:
        """Do nothing: ASGI servers close sockets at once."""

    def interrupt(self) -> None:
        """Close because a worker that streamed to the client has ended: ask the client to connect again."""
        self.reply((None, None, RESTART, None))

    def failed(self, order: object) -> None:
        """The consumer of the event ``order`` has failed: close if so many have in a row that all others would too."""
        most = self._options.socket_failures
        if most is None or not isinstance(order, int):
            return
        if self._failures is None:
            self._failures = InARow()
        if self._failures.add(order) < most or self.closed:
            return
        counters.limited["socket_failures"] += 1
        more = self._repeats.more("socket_failures")
        if more is not None:
            logger.warning(
                "%s (%r) is closed with 1011: the consumers of %d of its events in a row have failed%s",
                self.name,
                self.path,
                most,
                more,
                extra=log_fields(self.name, connection=self.name),
            )
        self.refuse(1011, f"The consumers of {most} events in a row have failed.")

    def look(self) -> None:
        """Look whether the client has left, because its events have not been read for long."""
        self._look()

    def lost(self) -> None:
        """The connection is gone: send nothing more."""
        self.closed = True
        self.left()
        self._look = _look_no_more
        self._ended = _ignore  # breaks the reference cycle, so that a closed connection is freed at once
        self.recovery = None  # likewise
        super().lost()

    async def writable(self) -> None:
        """Wait until the client has taken what was sent, or the socket is closed."""
        while self.queue is not None and not self.closed:
            await self._change()

    def _accept(self) -> None:
        self.accepted = True
        event: dict[str, Any] = {"type": "websocket.accept"}
        if self.subprotocol is not None:
            event["subprotocol"] = self.subprotocol
        self.write(event, self._capacity)
        if self.recovery is not None:
            self.recovery.accepted()

    def overflow(self, limit: str, event: Event | None = None) -> None:
        """Close with 1013, because ``limit``, an option, is reached; drop what waits for the client, and ``event``."""
        if self.closed:
            self.drop()
            return
        size = self.waiting_bytes
        dropped = self.dropped = self.drop() + (event is not None)
        counters.limited[limit] += 1
        counters.readers_closed += 1
        counters.frames_dropped += dropped
        more = self._repeats.more(limit)
        if more is not None:
            logger.warning(
                "The client of %s (%r) does not read: it is closed with 1013, and %s to it dropped; it met %s, and "
                "%d bytes waited%s",
                self.name,
                self.path,
                counted(dropped, "message"),
                limit.upper(),
                size,
                more,
                extra=log_fields(self.name, connection=self.name),
            )
        self._end([{"type": "websocket.close", "code": 1013}], 1013, wait=False)

    def _close(self, code: int) -> None:
        if may_close_with(code):
            self._end([{"type": "websocket.close", "code": code}], code)
            return
        more = self._repeats.more(("close", code))
        if more is not None:
            logger.error(
                "%s (%r) was to be closed with %d, which may not travel in a close frame; it stays open. "
                "Use True, 1000 to 1014 (but not 1004, 1005, 1006), or 3000 to 4999%s",
                self.name,
                self.path,
                code,
                more,
                extra=log_fields(self.name, connection=self.name),
            )

    def _left(self) -> None:
        self.closed = True
        self._ended(True)

    def _refused(self, error: BaseException) -> None:
        if self._ending:  # daphne cannot send 1012, and uvicorn has closed the socket itself
            logger.debug("The server did not take the close of %s: %r", self.name, error)
        else:
            super()._refused(error)
        self.closed = True
        self._ended(False)

    def _end(self, events: list[Event], code: int, *, wait: bool = True) -> None:
        self.closed = True
        self.close_code = code
        self.left()
        for event in events:
            self.write(event, self._capacity + 2)  # two places are reserved for the last events
        self._wake()
        self._ended(wait)


def _ignore(wait: bool) -> None:
    """Stands in for ``ended`` once the connection is gone."""


def _look_no_more() -> None:
    """Stands in for ``look`` likewise."""


def _tell_nobody(channel: str, content: Content) -> None:
    """Stands in for ``tell`` where nobody can ask."""
