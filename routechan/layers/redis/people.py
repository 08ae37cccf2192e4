"""Who reads the channels of this process in groups, where that was said."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from ... import names
from ...encoding import Content
from ...exceptions import ChannelLayerUnavailable
from ..envelope import Envelope
from ..history import HistoryRules
from ..presence import PRESENCE_CHANNELS, Somebody
from ..store import Store
from .commands.presence import Presence
from .commands.script import Operation, Script, operation
from .driver import Driver

logger = logging.getLogger("routechan")

#: How many ends of sockets, and looks whether somebody has left, wait for Redis to come back.
OWED_KEPT = 10_000

K = TypeVar("K")
V = TypeVar("V")


class People:
    """Keeps Redis told of who reads the channels of this process. Lifetime: layer, in one process. Thread-safe.

    Args:
        store: the members of this process.
        driver: performs what nobody waits for.
        presence: makes operations.
        history: which groups keep a history, which channels become members of later.
        look_at: called with the time when somebody may have left.
        now: the time of Redis' clock, in seconds.
        lease: seconds after which a process that gave no sign is taken for dead.
    """

    def __init__(
        self,
        store: Store,
        driver: Driver,
        presence: Presence,
        history: HistoryRules,
        look_at: Callable[[float], object],
        now: Callable[[], float],
        lease: float,
    ) -> None:
        self._store = store
        self._driver = driver
        #: Makes operations on who is present.
        self.presence = presence
        self._history = history
        self._look_at = look_at
        self._now = now
        self._lasts = 2 * lease
        self._lock = threading.Lock()
        self._of: dict[str, dict[str, Somebody]] = {}  # channel -> group -> who reads it there
        self._unsaid: dict[tuple[str, str], Somebody] = {}  # ``(group, channel)``, whose join may not have been told
        self._leaving: dict[tuple[str, str], Somebody] = {}  # ``(group, channel)``, until Redis knows
        self._writes = False
        self._cleared = False
        self._looks: dict[tuple[str, bytes], None] = {}  # ``(group, body)`` of looks that have not ended

    # Saying who reads a channel

    def introduce(self, group: str, channel: str, who: Content) -> Operation[None]:
        """The operation that says in Redis that ``who`` reads ``channel``, a member of ``group``."""
        somebody = self.presence.somebody(who)
        if "!" in channel and not self._store.is_own(names.queue_name(channel)):
            return self.presence.introduce_elsewhere(group, channel, somebody)
        if "!" not in channel:
            return self.presence.introduce(group, channel, somebody)
        self._keep(group, channel, somebody)
        self._unsaid[group, channel] = somebody
        return self._introduce(group, channel, somebody)

    @operation(changes_membership=True)
    def _introduce(self, group: str, channel: str, somebody: Somebody) -> Script[None]:
        yield from self.presence.introduce(group, channel, somebody).script()
        if self._unsaid.get((group, channel)) is somebody:
            del self._unsaid[group, channel]

    def noted(self, envelope: Envelope) -> None:
        """Another process has said in Redis, and in ``envelope``, who reads a channel of this; else ``ValueError``."""
        group, (channel, somebody) = envelope.name, self.presence.noted(envelope)
        queue = names.queue_name(channel)
        self._keep(group, channel, somebody)
        if self._history.of(group) is None and channel not in self._store.members(group, queue).get(queue, ()):
            self.left(group, channel)  # it has left before this came

    def _keep(self, group: str, channel: str, somebody: Somebody) -> None:
        with self._lock:
            self._leaving.pop((group, channel), None)
            self._of.setdefault(channel, {})[group] = somebody

    def _reads(self, group: str, channel: str) -> Somebody | None:
        return self._of.get(channel, {}).get(group)

    # Leaving

    def drop(self, group: str, channel: str) -> Somebody | None:
        """The ``channel`` is no member of ``group`` any more, and Redis knows.

        Returns:
            Who has read it.
        """
        if channel not in self._of:
            return None
        self._unsaid.pop((group, channel), None)
        with self._lock:
            groups = self._of.get(channel, {})
            somebody = groups.pop(group, None)
            if not groups:
                self._of.pop(channel, None)
        return somebody

    def left(self, group: str, channel: str) -> None:
        """The ``channel`` is no member of ``group`` any more."""
        somebody = self.drop(group, channel)
        if somebody is not None:
            with self._lock:
                _remember(self._leaving, (group, channel), somebody)
            self._remove(group, channel, somebody)

    def forget(self, channel: str) -> None:
        """The ``channel`` is gone."""
        for group in tuple(self._of.get(channel, ())):
            self.left(group, channel)

    def _remove(self, group: str, channel: str, somebody: Somebody) -> None:
        def removed(_: object, error: BaseException | None) -> None:
            if error is None:
                with self._lock:
                    if self._leaving.get((group, channel)) is somebody:
                        del self._leaving[group, channel]

        with suppress(ChannelLayerUnavailable):  # it is removed when Redis is back
            self._driver.start(self.presence.remove(group, channel, somebody), removed)
        self.expect()

    def expect(self) -> None:
        """Somebody may have left when the linger is over."""
        self._look_at(self._now() + self.presence.linger)

    def clear_away(self, memberships: Sequence[tuple[str, str]]) -> Script[None]:
        """The script of ``Presence.clear_away`` for ``memberships`` of a dead process."""
        self.expect()
        return self.presence.clear_away(memberships)

    def cleared(self, channels: Iterable[str]) -> None:
        """Others have taken this process for dead, so all have left; ``channels`` end now, the others join again."""
        self._cleared = True
        with self._lock:
            for channel in channels:
                for group in self._of.pop(channel, ()):
                    self._unsaid.pop((group, channel), None)

    def clear(self) -> None:
        """All memberships have ended, and nobody has left."""
        with self._lock:
            self._of.clear()
            self._unsaid.clear()
            self._leaving.clear()
            self._looks.clear()

    # What is due

    def look(self, group: str, body: bytes) -> None:
        """Find out whether somebody has left ``group``, as ``body`` says."""
        with self._lock:
            _remember(self._looks, (group, body), None)
        self._look(group, body)

    def _look(self, group: str, body: bytes) -> None:
        def looked(_: object, error: BaseException | None) -> None:
            if isinstance(error, ChannelLayerUnavailable):
                return  # it is done again when Redis is back
            if error is not None:
                logger.error("Nobody can tell whether somebody has left %s: %s", group, error)
            with self._lock:
                self._looks.pop((group, body), None)

        with suppress(ChannelLayerUnavailable):
            self._driver.start(self.presence.look(group, body), looked)

    # What Redis may have lost

    def write_again(self) -> None:
        """Write again what Redis may have lost, unless that is being done."""
        with self._lock:
            if self._cleared:
                self._cleared = False
                self._unsaid = {
                    (group, channel): somebody
                    for channel, groups in self._of.items()
                    for group, somebody in groups.items()
                }
            unsaid = dict(self._unsaid)
        with suppress(ChannelLayerUnavailable):
            for (group, channel), somebody in unsaid.items():
                self._driver.start(self._introduce(group, channel, somebody))
        if self._of and not self._writes:
            self._writes = True
            with suppress(ChannelLayerUnavailable):
                self._driver.start(self._written_again(), self._written)

    def _written(self, _: object, error: BaseException | None) -> None:
        self._writes = False

    @operation(changes_membership=True)
    def _written_again(self) -> Script[None]:
        with self._lock:
            people = [
                (group, channel)
                for channel, groups in self._of.items()
                for group in groups
                if (group, channel) not in self._unsaid
            ]
        for script in self.presence.write_again(people, self._reads):
            yield from script

    def do_again(self) -> None:
        """Do again what Redis may not have got."""
        with self._lock:
            leaving, looks = dict(self._leaving), list(self._looks)
        for (group, channel), somebody in leaving.items():
            self._remove(group, channel, somebody)
        for group, body in looks:
            self._look(group, body)

    # Who wants to be told

    def want(self, channels: Iterable[str]) -> None:
        """Consumers of this process take ``channels``, of which some may be for joins and leaves."""
        found = PRESENCE_CHANNELS.intersection(channels)
        if not found.issubset(self.presence.wanted):
            self.presence.wanted = tuple(found.union(self.presence.wanted))
            self.tell_wanted()

    def tell_wanted(self) -> None:
        """Tell others what consumers of this process want, for two leases; nothing if that is nothing."""
        if self.presence.wanted:
            with suppress(ChannelLayerUnavailable):  # it is told again
                self._driver.start(self.presence.want(self._lasts))


def _remember(kept: dict[K, V], key: K, value: V) -> None:
    while len(kept) >= OWED_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
