"""The histories of groups that are kept in the memory of this process."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ..encoding import LazyContent, Serializer
from ..exceptions import ChannelFull
from .envelope import is_once
from .history import History, HistoryRules, Kept, Position, made_history, parse_position, position_text
from .losses import Losses
from .store import Store


class _Message(NamedTuple):
    """An entry; ``body`` is None for the one that a history begins with, which is no message."""

    position: Position
    time: float
    body: bytes | None
    headers: bytes


class _Log:
    """The history of one group. Lifetime: until its last message has expired.

    Args:
        kept: how much of it is kept.
    """

    __slots__ = ("kept", "messages")

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        # One more than is promised: who was at the oldest of those that came since can tell that nothing is missing.
        self.messages: deque[_Message] = deque(maxlen=kept.size + 1)


class Histories:
    """The histories of all groups. Lifetime: layer. Thread-safe.

    Args:
        rules: which groups have one.
        store: the members.
        serializer: bytes to content.
    """

    def __init__(self, rules: HistoryRules, store: Store, serializer: Serializer) -> None:
        #: Sends to the members of a group, and keeps what is sent where the group has a history.
        self.deliver_to: Callable[[str, LazyContent, bytes], None] = self._deliver if rules else store.deliver
        self._rules = rules
        self._store = store
        self._serializer = serializer
        self._losses = Losses(store.counts)
        self._lock = threading.RLock()  # held while members are given a message, so that all get them in one order
        self._logs: dict[str, _Log] = {}  # in order of their last messages
        self._last: Position = (0, 0)

    def _deliver(self, group: str, content: LazyContent, headers: bytes) -> None:
        kept = self._rules.of(group)
        if kept is None:
            self._store.deliver(group, content, headers)
            return
        with self._lock:
            self._append(group, kept, content.data, headers)
            self._store.deliver(group, content, headers)

    def catch_up(self, group: str, channel: str, last: int, since: str | None) -> bool | None:
        """The result of ``BaseChannelLayer.group_catch_up`` for ``group``, ``channel``, ``last`` and ``since``."""
        kept = self._rules.need(group)
        with self._lock:
            self._store.add(group, channel)
            messages, complete = self._after(group, kept, since)
            if since is None or not complete:
                live = self._live(group, kept)
                messages = live[-last:] if last else []
            for message in messages:
                if is_once(message.headers):
                    continue
                content = LazyContent(self._serializer, data=message.body)
                try:
                    self._store.deliver(group, content, message.headers, only=channel)
                except (ValueError, ChannelFull) as error:
                    self._losses.add(channel, error)
        return None if since is None else complete

    def history(self, group: str, limit: int | None, since: str | None) -> History:
        """The result of ``BaseChannelLayer.group_history`` for ``group``, ``limit`` and ``since``."""
        kept = self._rules.need(group)
        with self._lock:
            messages, complete = self._after(group, kept, since)
            if since is None or not complete:
                messages = self._live(group, kept, parse_position(since))
            log = self._logs.get(group)
            position = position_text(log.messages[-1].position) if log is not None else None
        return made_history(
            [(position_text(each.position), each.body or b"") for each in messages],
            self._serializer,
            limit,
            position,
            complete and (since is None or limit is None or len(messages) <= limit),
        )

    def clear(self) -> None:
        """Forget all messages."""
        with self._lock:
            self._logs.clear()

    def _append(self, group: str, kept: Kept, body: bytes | None, headers: bytes) -> None:
        now = self._store.clock()
        log = self._logs.pop(group, None)
        if log is None or self._is_over(log, now):
            log = _Log(kept)
        self._logs[group] = log
        milliseconds = int(time.time() * 1000)  # so that positions of an earlier process are before these
        after = self._last[0], self._last[1] + 1
        self._last = max((milliseconds, 0), after)
        log.messages.append(_Message(self._last, now, body, headers))
        for name in tuple(self._logs)[:2]:  # those whose last message is the oldest
            if self._is_over(self._logs[name], now):
                del self._logs[name]

    def _is_over(self, log: _Log, now: float) -> bool:
        return log.messages[-1].time + log.kept.seconds < now

    def _after(self, group: str, kept: Kept, since: str | None) -> tuple[list[_Message], bool]:
        """What came after the position ``since``, and whether that is all."""
        log = self._logs.get(group)
        if log is None or self._is_over(log, self._store.clock()):
            self._append(group, kept, None, b"")
            log = self._logs[group]
        messages, asked = list(log.messages), parse_position(since)
        for index, message in enumerate(messages):
            if message.position == asked:
                return [each for each in messages[index + 1 :] if each.body is not None], True
        return [], since is None

    def _live(self, group: str, kept: Kept, after: Position | None = None) -> list[_Message]:
        """The messages of ``group`` that are not too old, behind the position ``after``."""
        oldest = self._store.clock() - kept.seconds
        live = [
            each
            for each in self._logs[group].messages
            if each.body is not None and each.time >= oldest and (after is None or each.position > after)
        ]
        return live[-kept.size :]
