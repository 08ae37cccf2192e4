"""Who is present in the groups of a layer that lives in one process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from ..encoding import Content, Serializer
from ..exceptions import ChannelFull
from .delays import Delays
from .memberships import channels_of
from .options import FULL_DELAY
from .presence import JOINED, LEFT, PRESENCE_CHANNELS, Somebody, check_who, encoded_id, event, newest_of
from .store import Store


class People:
    """Who is in which group. Lifetime: layer. Thread-safe.

    Args:
        store: the members.
        serializer: content to bytes and back.
        send: sends a message to a channel.
        linger: seconds for which somebody without a socket may come back before that is a leave.
    """

    def __init__(
        self,
        store: Store,
        serializer: Serializer,
        send: Callable[[str, Content], object],
        linger: float,
    ) -> None:
        self._store = store
        self._serializer = serializer
        self._delays = Delays()
        self._send = send
        self._linger = linger
        self._lock = threading.RLock()
        self._groups: dict[str, dict[str, Somebody]] = {}  # group -> channel -> who reads it
        self._of: dict[str, set[str]] = {}  # channel -> the groups in which it is somebody's
        self._sockets: Counter[tuple[str, str]] = Counter()  # ``(group, key)`` -> how many channels
        # Those who have joined, and have not left -> which end of a socket may be the last, or None.
        self._joined: dict[tuple[str, str], object] = {}
        self._wanted: set[str] = set()

    def want(self, channels: Iterable[str]) -> None:
        """Tell who joins and leaves from now on, on those of ``channels`` that are for this."""
        self._wanted.update(PRESENCE_CHANNELS.intersection(channels))

    def introduce(self, group: str, channel: str, who: Content) -> None:
        """The member ``channel`` of ``group`` is read by ``who``."""
        key = encoded_id(check_who(who)).decode()
        somebody = Somebody(key, self._serializer.encode(who), self._store.clock())
        with self._lock:
            people = self._groups.setdefault(group, {})
            previous = people.pop(channel, None)  # put behind those of the same moment
            people[channel] = somebody
            self._of.setdefault(channel, set()).add(group)
            self._sockets[group, key] += 1
            joins = (group, key) not in self._joined
            self._joined[group, key] = None
            if previous is not None:
                self._end(group, previous)
        if previous is not None and previous.key != key:
            self._look_later(group, previous)
        if joins:
            self._tell(JOINED, event(group, self._serializer.decode(somebody.who)))

    def left(self, group: str, channel: str) -> None:
        """The ``channel`` is no member of ``group`` any more."""
        if channel not in self._of:
            return
        with self._lock:
            groups = self._of.get(channel, set())
            if group not in groups:
                return
            groups.remove(group)
            if not groups:
                del self._of[channel]
            somebody = self._groups[group].pop(channel)
            if not self._groups[group]:
                del self._groups[group]
            self._end(group, somebody)
        self._look_later(group, somebody)

    def forget(self, channel: str) -> None:
        """The ``channel`` is gone."""
        for group in tuple(self._of.get(channel, ())):
            self.left(group, channel)

    def present(self, group: str) -> list[Content]:
        """What was said of each who is present in ``group``."""
        if group not in self._groups:
            return []
        members = set(channels_of(self._store.members(group)))
        with self._lock:
            people = dict(self._groups.get(group, {}))
        for channel in people.keys() - members:  # whose membership has expired
            self.left(group, channel)
        return newest_of(
            (somebody.since, self._serializer.decode(somebody.who))
            for channel, somebody in people.items()
            if channel in members
        )

    def clear(self) -> None:
        """Nobody is present anywhere, and nobody has left."""
        with self._lock:
            self._groups.clear()
            self._of.clear()
            self._sockets.clear()
            self._joined.clear()
            self._delays.clear()

    def _end(self, group: str, somebody: Somebody) -> None:
        self._sockets[group, somebody.key] -= 1
        if not self._sockets[group, somebody.key]:
            del self._sockets[group, somebody.key]

    def _look_later(self, group: str, somebody: Somebody) -> None:
        with self._lock:
            if (group, somebody.key) in self._sockets:
                return
            end = self._joined[group, somebody.key] = object()
        if self._linger:
            self._delays.call_later(self._linger, partial(self._look, group, somebody, end))
        else:
            self._look(group, somebody, end)

    def _look(self, group: str, somebody: Somebody, end: object) -> None:
        """Tell that ``somebody`` has left, if nothing has changed since that ``end`` of the last socket."""
        with self._lock:
            if self._joined.get((group, somebody.key)) is not end:
                return
            del self._joined[group, somebody.key]
        self._tell(LEFT, event(group, self._serializer.decode(somebody.who)))

    def _tell(self, channel: str, content: Content) -> None:
        if channel not in self._wanted:
            return
        try:
            self._send(channel, content)
        except ChannelFull:
            self._delays.call_later(FULL_DELAY, partial(self._tell, channel, content))
