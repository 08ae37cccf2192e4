"""Entries of histories: opened as they are read, and given to the members of their groups here."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ...encoding import LazyContent, Serializer
from ...exceptions import ChannelFull
from ..envelope import GROUP
from ..history import History, Position, made_history, parse_position, position_text
from ..missed import Missed, give_missed
from ..store import Store
from .commands.entries import Sealed
from .commands.history import CatchUp, Histories
from .commands.script import Context, Script, operation
from .schema import history_place
from .wire import Unreadable

logger = logging.getLogger("routechan")


class Giving:
    """Opens entries, and gives them to members. Lifetime: layer, in one process. Thread-safe.

    Args:
        store: the members.
        histories: makes reads.
        context: opens what was read.
        serializer: bytes to content.
    """

    def __init__(self, store: Store, histories: Histories, context: Context, serializer: Serializer) -> None:
        self._store = store
        self._histories = histories
        self._context = context
        self._serializer = serializer

    def missed(self, recent: Iterable[Missed], request: CatchUp, member: bool) -> tuple[bool | None, list[Missed]]:
        """Whether all is there that ``request`` asks for, and what its channel is given of the ``recent`` messages.

        One that is a ``member`` already has what came after it was made one again.
        """
        entries = list(recent)
        if request.since is not None:
            asked = parse_position(request.since)
            for index, message in enumerate(entries):
                if message.position == asked:
                    return True, entries[index + 1 :]
        joined = request.joined or entries[-1].position if entries else (0, 0)
        before = self._live(request.group, [each for each in entries if each.position <= joined])
        after = [] if member else [each for each in entries if each.position > joined]
        last = before[-request.last :] if request.last else []
        return None if request.since is None else False, last + after

    def take(self, group: str, position: Position, data: bytes) -> Missed:
        """The entry ``data`` of ``group`` at ``position``, given now; what cannot be read is lost, and counted."""
        try:
            now = self._context.now()
            kind, name, body, headers, expires, _ = self._context.wire.take(data, history_place(group), now)
            if kind != GROUP or name != group:
                return Missed(position, None, b"")
            if expires >= now:
                return Missed(position, LazyContent(self._serializer, data=body), headers)
            self._context.counts.add(None, "expired_count")
        except Unreadable as error:
            self._context.losses.add(None, error, f"the history of {group}")
        return Missed(position, None, b"")

    def peek(self, group: str, entry: Sealed) -> Missed:
        """The ``entry`` of ``group``, which was given to members before."""
        envelope = self._context.peek(entry[1], history_place(group))
        if envelope is None or envelope.kind != GROUP or envelope.name != group:
            return Missed(entry[0], None, b"")
        return Missed(entry[0], LazyContent(self._serializer, data=envelope.body), envelope.headers)

    def _live(self, group: str, messages: Iterable[Missed]) -> list[Missed]:
        """Those of ``messages`` that are messages, and not older than the history is to be."""
        kept = self._histories.rules.need(group)
        oldest = (self._context.now() - kept.seconds) * 1000
        live = [each for each in messages if each.content is not None and each.position[0] >= oldest]
        return live[-kept.size :]

    def give(self, group: str, message: Missed) -> None:
        """Give a ``message`` to all members of ``group`` here."""
        if message.content is None:
            return
        try:
            self._store.deliver(group, message.content, message.headers, None, self._expires(), None, message.position)
        except (ValueError, ChannelFull) as error:
            self._context.losses.add(None, error)
        except Exception:  # an error in one message must not stop the next ones
            logger.exception("A message to %s is lost", group)

    def give_one(self, group: str, channel: str, messages: Iterable[Missed]) -> None:
        """Give ``channel`` what it missed of ``group``: these ``messages``."""
        give_missed(self._store, self._context.losses, group, channel, messages, self._expires())

    def _expires(self) -> float:
        return self._context.now() + self._context.expiry

    @operation()
    def history(self, group: str, limit: int | None, since: str | None) -> Script[History]:
        """The operation that reads the history of ``group``, with ``limit`` and ``since`` as for ``Group.history``."""
        asked = None if since is None else parse_position(since)
        missed = None if asked is None else (yield from self._histories.since(group, asked).script())
        if missed is not None:
            entries = missed
            messages = [each for each in (self.peek(group, entry) for entry in entries[1:]) if each.content is not None]
        else:
            entries = yield from self._histories.newest(group, self._histories.rules.need(group).size + 1).script()
            after = [self.peek(group, entry) for entry in entries if asked is None or entry[0] > asked]
            messages = self._live(group, after)
        complete = since is None or missed is not None
        position = position_text(entries[-1][0]) if entries else None
        return made_history(
            [(position_text(each.position), each.content.data) for each in messages if each.content is not None],
            self._serializer,
            limit,
            position,
            complete and (since is None or limit is None or len(messages) <= limit),
        )
