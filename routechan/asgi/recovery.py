"""Where one socket is in the histories of its groups, and what its client is told of that."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from ..layers.claims import CLAIMS, Claims, tag_of
from ..layers.history import Position
from . import lines
from .ids import Ids
from .lines import Voice
from .translation import EVENT_STREAM, Scope, SocketReply

#: Messages that are kept for a socket whose connect consumer has not ended; one more, and all are given up for a gap.
HELD = 2000


class Recoverable(Protocol):
    """A socket whose client may be told ids. Lifetime: connection."""

    accepted: bool
    closed: bool
    speaks: bool
    voice: Voice | None
    recovery: Recovery | None

    def reply(self, reply: SocketReply, id: str = "") -> None:
        """Carry out a parsed ``reply``, whose data gets the ``id``."""

    def say(self, word: str, argument: object) -> None:
        """Tell the client ``word`` with ``argument``."""


def begin(socket: Recoverable, ids: Ids | None, scope: Scope) -> None:
    """Have ``socket`` keep positions, if its client can be told ids.

    Args:
        socket: The socket.
        ids: Writes and reads ids; None where no group keeps a history.
        scope: The connection's ASGI scope, with what the client comes back with.
    """
    if ids is None:
        return
    if EVENT_STREAM in (scope.get("extensions") or {}):
        socket.voice, given = lines.STREAM_VOICE, lines.last_event_id(scope)
    elif socket.speaks:
        given = lines.since(scope)
    else:
        return
    socket.recovery = Recovery(socket, ids, None if given is None else ids.read(given))


class Recovery:
    """Keeps the positions of one socket, and puts them on what its client is sent. Lifetime: connection, on its loop.

    What comes from histories while the connect consumer runs is kept until that has ended, or the socket is accepted:
    it opens no socket that the consumer is about to refuse.

    Args:
        socket: The socket.
        ids: Writes ids.
        claims: What the client says it has; None if it does not come back.
    """

    __slots__ = (
        "_at",
        "_held",
        "_ids",
        "_joined",
        "_joining",
        "_outcomes",
        "_releasing",
        "_running",
        "_socket",
        "claims",
    )

    def __init__(self, socket: Recoverable, ids: Ids, claims: Claims | None) -> None:
        self._socket = socket
        self._ids = ids
        self.claims = claims
        self._at: dict[bytes, Position] = {}  # tag -> the last message that was given, or where the group was joined
        self._joined: set[bytes] = set()  # tags of the groups that it is in
        self._joining: dict[str, bool] = {}  # groups that a worker has added it to -> whether a claim was left
        self._outcomes: list[bool | None] = []  # of what was joined since the client was told
        self._held: deque[tuple[SocketReply | str, str]] | None = None  # replies or words, with their ids
        self._running = False  # whether a consumer is
        self._releasing = False

    def headers(self) -> dict[str, Any]:
        """The headers of an event that goes to a worker."""
        header = None if self.claims is None else self.claims.header()
        return {} if header is None else {CLAIMS: header}

    # What consumers do

    def began(self) -> None:
        """A consumer of the connection begins."""
        self._running = True

    def flushed(self) -> None:
        """It has ended, or taken a step, and what it has sent is on its way."""
        self._running = False
        self._release()
        self._conclude()

    def accepted(self) -> None:
        """The socket is open."""
        self._release()
        if not self._running:
            self._conclude()

    # What the layer says

    def placed(self, reply: SocketReply, group: str, position: Position) -> None:
        """Take a message of ``group``, at ``position`` in its history.

        Args:
            reply: The message, parsed.
            group: The group.
            position: The position.
        """
        tag = tag_of(group, self._ids.tag_keys[0])
        if tag in self._joined:  # else it has left meanwhile
            self._at[tag] = position
        self._reply(reply, self._id())

    def caught_up(self, replies: Sequence[tuple[SocketReply, Position]], group: str) -> None:
        """Take messages that were sent to ``group`` before.

        Args:
            replies: The messages, parsed, with their positions.
            group: The group.
        """
        at, tag = self._at, tag_of(group, self._ids.tag_keys[0])
        at.setdefault(tag, (0, 0))  # its place among the tags
        partial, claimed = self._claimed()
        for reply, position in replies:
            at[tag] = position
            self._reply(reply, self._ids.write((partial, (*at.items(), *claimed))))

    def _reply(self, reply: SocketReply, id: str) -> None:
        if self._socket.accepted and not self._held:
            self._socket.reply(reply, id)
        else:
            self._hold(reply, id)

    def joining(self, group: str) -> None:
        """A worker has added the socket to ``group``: ``joined`` or ``left`` follows."""
        untaken = self.claims is not None and self.claims.take(group) is not None
        self._joining[group] = untaken or self._joining.get(group, False)

    def joined(self, group: str, position: Position, recovered: bool | None) -> None:
        """The socket is in ``group``.

        Args:
            group: The group.
            position: Up to where it has got what it is given of what was before.
            recovered: Whether that is all that it missed; None if nothing was asked for.
        """
        unasked = self._joining.pop(group, False)
        tag = tag_of(group, self._ids.tag_keys[0])
        unasked = (self.claims is not None and self.claims.settle(group)) or unasked
        if recovered is not None or tag not in self._joined or unasked:
            self._joined.add(tag)
            self._at[tag] = position
            if unasked and recovered is None:  # it claimed to have a position, which the consumer did not look at
                recovered = False
            self._outcomes.append(recovered)
            if recovered is False:
                self._say("gap")
        if not self._running:
            self._conclude()

    def left(self, group: str) -> None:
        """The socket is not in ``group``."""
        tag = tag_of(group, self._ids.tag_keys[0])
        self._at.pop(tag, None)
        self._joined.discard(tag)
        if self._joining.pop(group, False) and self.claims is not None:
            self.claims.give_back(group)
        if not self._running:
            self._conclude()

    def missing(self, group: str) -> None:
        """The socket misses messages of ``group``."""
        self._say("gap")

    # What the client is told

    def _id(self) -> str:
        partial, claimed = self._claimed()
        return self._ids.write((partial, (*self._at.items(), *claimed)))

    def _claimed(self) -> tuple[bool, list[tuple[bytes, Position]]]:
        """Whether the client may have been in groups that it does not tell of, and claims that nothing has replaced."""
        claims, at = self.claims, self._at
        if claims is None:
            return False, []
        return claims.partial, [entry for entry in claims.left() if entry[0] not in at]

    def _say(self, word: str) -> None:
        if self._socket.accepted and not self._held:
            self._socket.say(word, self._id())
        else:
            self._hold(word, self._id())

    def _conclude(self) -> None:
        """Say what has come of joining groups, if that is known."""
        if self._outcomes and not self._joining and self._socket.accepted:
            outcomes, self._outcomes = self._outcomes, []
            if False not in outcomes:  # else it was told at once
                self._say("recovered" if True in outcomes else "joined")

    def _hold(self, what: SocketReply | str, id: str) -> None:
        if self._socket.closed:
            return
        if self._held is None:
            self._held = deque()
        if len(self._held) >= HELD:
            self._held.clear()
            self._outcomes.append(False)
            self._held.append(("gap", id))
        self._held.append((what, id))
        if not self._running:
            self._release()

    def _release(self) -> None:
        """Send what was held; a message opens the socket, if its consumer has ended without a word about that."""
        held, socket = self._held, self._socket
        if held is None or self._releasing or (not socket.accepted and self._running):
            return
        self._releasing = True
        while held and (socket.accepted or any(not isinstance(what, str) for what, _ in held)):
            what, id = held.popleft()
            if isinstance(what, str):
                if not socket.accepted:
                    socket.reply((True, None, None, None))
                socket.say(what, id)
            else:
                socket.reply(what, id)
        self._releasing = False
        if not held:
            self._held = None
