"""What this process reads of the histories of its groups, and gives to their members here."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from ... import names
from ...encoding import decode_headers
from ...exceptions import ChannelLayerUnavailable, TooManyGroups
from ...telemetry.counters import counters
from ...telemetry.repeats import Repeats
from ..history import Position, parse_position, position_text
from ..missed import Missed
from ..store import Store
from .commands.entries import Found, Sealed, Told, told_in
from .commands.history import LAST, NOWHERE, POSITION, SINCE, CatchUp, Histories
from .commands.script import Callback, Operation
from .driver import Driver
from .giving import Giving

logger = logging.getLogger("routechan")

#: Of how many groups without members here news is remembered.
EARLY = 1000


class _Tail:
    """How far the history of one group was read, and given to members. Lifetime: while the group has members here.

    Args:
        position: where it was read to.
    """

    __slots__ = ("ahead", "anchored", "given", "loading", "needed", "position", "reading", "recent", "released", "used")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.anchored = True  # whether the entry at ``position`` was there
        self.needed = position  # up to where there is something to be read, as far as is known
        self.reading = False
        self.ahead: deque[Sealed] = deque()  # what was read and not given yet, in the place of what told of it
        self.given = position  # what members have got
        self.released = position  # what they are to get
        self.recent: deque[Missed] | None = None  # the whole history up to ``given``, while it is asked for
        self.loading: deque[Missed] | None = None  # what was given since ``recent`` is being read
        self.used = 0.0  # when it was last asked for, on the clock of ``time.monotonic``


class Tails:
    """Reads the histories of groups that have members here. Lifetime: layer, in one process. Thread-safe.

    A read is started when there is news, and at times of itself, as what tells of news may be lost. One read serves all
    news since it began, and all members. What it brings is given to them in the place of the news among the other
    messages to this process: so who has left before that does not get it.

    Args:
        store: the members.
        driver: performs reads.
        histories: makes them.
        giving: opens what was read, and gives it to members.
    """

    def __init__(self, store: Store, driver: Driver, histories: Histories, giving: Giving) -> None:
        self._store = store
        self._driver = driver
        self._histories = histories
        self._giving = giving
        self._lock = threading.RLock()
        self._tails: dict[str, _Tail] = {}
        self._early: dict[str, Position] = {}  # news of groups without members here
        self._joining: set[tuple[str, str]] = set()  # ``(group, channel)`` of those that are not members yet
        self._repeats = Repeats()
        rules = histories.rules
        #: Seconds between looks: a history is read before it expires, even if nobody tells of news.
        self.interval = rules.shortest / 3 if rules else float("inf")

    # Joining and leaving

    def catch_up(
        self, group: str, channel: str, last: int, since: str | None, joined: Position | None = None
    ) -> CatchUp:
        """The operation that has ``channel`` of this process join ``group``, with ``last``, ``since``, ``joined``."""
        with self._lock:
            self._joining.add((group, channel))
        return CatchUp(self._histories, group, channel, last, since, joined)

    def join(self, group: str, channel: str, headers: bytes, refuse: Callable[[TooManyGroups], object]) -> bool:
        """Another process made ``channel`` of this one a member of ``group``.

        Args:
            group: the group.
            channel: the channel.
            headers: say from where on, and what it is given of what was before.
            refuse: called with ``TooManyGroups``, if that is found out later.

        Returns:
            Whether it is a member already, and the first of its queue there.

        Raises:
            TooManyGroups: it is in as many groups as it may be.
        """
        given = decode_headers(headers)
        position, last, since = parse_position(given.get(POSITION)), given.get(LAST), given.get(SINCE)
        if position is None or not isinstance(last, int) or self._histories.rules.of(group) is None:
            return self._store.add(group, channel)
        with self._lock:
            self.prepare(group, False)
            tail = self._tails.get(group)
            if tail is None:
                tail = self._tails[group] = _Tail(position)
                tail.needed = tail.released = max(position, self._early.pop(group, position))
                self._read(group, tail)
            if not last and since is None and tail.given == position:
                first = self._store.add(group, channel)
                self._tell_joined(group, channel, position, None)
                return first
        request = self.catch_up(group, channel, last, since if isinstance(since, str) else None, position)

        follower = self._store.follower_of(channel)
        if follower is not None:
            follower.joining(group, channel)

        def joined(_: object, error: BaseException | None) -> None:
            if error is not None and follower is not None:
                follower.left(group, channel)
            if isinstance(error, TooManyGroups):
                refuse(error)

        try:
            self._driver.start(request, joined)
        except ChannelLayerUnavailable as error:  # memberships are written again when Redis is back
            joined(None, error)
        return False

    def leave(self, group: str, channel: str) -> None:
        """The ``channel`` is no member of ``group`` any more, nor will it be one that asked for it before."""
        with self._lock:
            self._joining.discard((group, channel))

    def forget(self, channel: str) -> None:
        """The ``channel`` is gone."""
        if self._joining:
            with self._lock:
                self._joining = {pair for pair in self._joining if pair[1] != channel}

    def clear(self) -> None:
        """All memberships have ended."""
        with self._lock:
            self._tails.clear()
            self._early.clear()
            self._joining.clear()

    def prepare(self, group: str, whole: bool) -> tuple[Position | None, bool]:
        """Get ready for a member to join ``group``, which may need the ``whole`` of the history.

        Returns:
            The position that the history was read up to, or None, and whether all of it is kept here.
        """
        with self._lock:
            if not self._store.members(group):
                self._tails.pop(group, None)  # those who join now get nothing of what nobody here has read
            tail = self._tails.get(group)
            if tail is None:
                return None, False
            if whole and tail.recent is None and tail.loading is None:
                tail.loading = deque(maxlen=self._histories.rules.need(group).size + 1)
            return tail.position, tail.recent is not None

    def begin(self, group: str, entries: Sequence[Sealed], whole: bool, found: Found | None) -> None:
        """Read the history of ``group`` on from the end of ``entries``; keep them, if they are the ``whole`` of it.

        Where it was read before, ``found`` is what came since.
        """
        with self._lock:
            tail = self._tails.get(group)
            if tail is None:
                tail = self._tails[group] = _Tail(entries[-1][0])
            elif found is None and entries[0][0] <= tail.position:  # somebody has begun since this was asked for
                self._keep(group, tail, Found(list(entries), len(entries) + 1, False))
            if found is not None:
                self._keep(group, tail, found)
            if (
                whole and tail.recent is None and (found is None or tail.loading is not None)
            ):  # and no gap came in between
                given = tail.loading or ()
                before = given[0].position if given else (tail.given[0], tail.given[1] + 1)
                tail.recent = deque(maxlen=self._histories.rules.need(group).size + 1)
                tail.recent.extend(self._giving.peek(group, entry) for entry in entries if entry[0] < before)
                tail.recent.extend(given)
                tail.loading = None

    def admit(self, request: CatchUp) -> bool | Exception | None:
        """Make the channel of ``request`` a member, once it was given what it asks for.

        Returns:
            What ``CatchUp`` returns, or what it raises.
        """
        group, channel = request.group, request.channel
        with self._lock:
            tail = self._tails.get(group)
            if (group, channel) not in self._joining or tail is None:
                if (follower := self._store.follower_of(channel)) is not None:
                    follower.left(group, channel)
                return None  # it has left meanwhile
            self._joining.discard((group, channel))
            self._release(group, tail, max(request.joined or NOWHERE, min(request.known, tail.position)))
            queue = names.queue_name(channel)
            member = request.joined is not None and channel in self._store.members(group, queue).get(queue, ())
            try:
                self._store.add(group, channel)
            except TooManyGroups as error:
                return error
            if not request.asks and (member or request.joined is None):
                self._tell_joined(group, channel, tail.given, None)
                return None
            tail.used = time.monotonic()
            recovered, missed = self._giving.missed(tail.recent or (), request, member)
            if recovered is False:
                self._tell_joined(group, channel, tail.given, False)
            self._giving.give_one(group, channel, missed)
            if recovered is not False:
                self._tell_joined(group, channel, tail.given, recovered)
            return recovered

    def _tell_joined(self, group: str, channel: str, position: Position, recovered: bool | None) -> None:
        follower = self._store.follower_of(channel)
        if follower is not None:
            follower.joined(group, channel, position, recovered)

    # Reading

    def position(self, group: str) -> Position | None:
        """The position that the history of ``group`` was read up to; None where it is not read."""
        tail = self._tails.get(group)
        return None if tail is None else tail.position

    def fetch(self, news: Iterable[tuple[str, Position, bytes]]) -> None:
        """Read what there is ``news`` of, to be given when ``news`` comes to it.

        One round trip for all of it, unless a server is late: then it is not waited for. None for what was told along.

        Args:
            news: of each, the group, the position, and the encoded headers.
        """
        reads: list[tuple[Operation[Found], Callback]] = []
        with self._lock:
            groups: dict[str, None] = {}
            for group, position, headers in news:
                tail = self._tails.get(group)
                if tail is not None:
                    told = told_in(headers)
                    if told is not None:
                        self.told(group, told)
                    tail.needed = max(tail.needed, position)
                    groups[group] = None
            for group in groups:
                reads += self._reads(group, self._tails[group])
        for number, (read, came) in enumerate(reads, 1):
            with suppress(ChannelLayerUnavailable):  # which ``_came`` was told
                if number < len(reads):
                    self._driver.start(read, came)
                else:  # on this thread, along with the others
                    self._driver.attempt(read, came)

    def news(self, group: str, position: Position, early: bool = False) -> None:
        """There is an entry at ``position`` in the history of ``group``, for all who are members now.

        With ``early``, for those too who another process has made members, and who are so when that is told here.
        """
        with self._lock:
            tail = self._tails.get(group)
            if tail is not None:
                tail.needed = max(tail.needed, position)
                self._release(group, tail, position)
                self._read(group, tail)
            elif early:
                while len(self._early) >= EARLY:
                    del self._early[next(iter(self._early))]
                self._early[group] = position

    def feed(self, group: str, found: Found) -> None:
        """What was ``found`` in the history of ``group`` is to be given when there is news of it."""
        with self._lock:
            tail = self._tails.get(group)
            if tail is not None:
                self._keep(group, tail, found)

    def told(self, group: str, told: Told) -> None:
        """What was ``told`` of the history of ``group`` need not be read, if it was read up to that."""
        with self._lock:
            tail = self._tails.get(group)
            if tail is not None and told.after <= tail.position:
                self._keep(group, tail, Found(told.entries, len(told.entries) + 1, False))

    def look(self) -> None:
        """Look for news in all histories, and forget those that nobody here is interested in."""
        with self._lock:
            for group, tail in tuple(self._tails.items()):
                if not self._store.members(group):
                    del self._tails[group]
                    continue
                if time.monotonic() - tail.used > self._histories.rules.need(group).seconds:
                    tail.recent = None
                self._read(group, tail, look=True)

    def _read(self, group: str, tail: _Tail, look: bool = False) -> None:
        """Read on if there is news, or to ``look`` for it."""
        for read, came in self._reads(group, tail, look):
            with suppress(ChannelLayerUnavailable):
                self._driver.start(read, came)

    def _reads(self, group: str, tail: _Tail, look: bool = False) -> list[tuple[Operation[Found], Callback]]:
        """The read that is to be started, if there is one, and its callback."""
        if tail.reading or not (look or tail.needed > tail.position):
            return []
        tail.reading = True
        return [(self._histories.after(group, tail.position), partial(self._came, group, tail, tail.needed, look))]

    def _came(
        self, group: str, tail: _Tail, needed: Position, look: bool, found: Found | None, error: BaseException | None
    ) -> None:
        with self._lock:
            tail.reading = False
            if found is None:
                logger.info("Reading the history of %s is put off: %s", group, error)
                return
            if self._tails.get(group) is not tail:
                return
            self._keep(group, tail, found)
            if not found.more and needed > tail.position:
                self._tell_gap(group, tail)
                tail.position = needed
            self._release(group, tail, tail.position if look else tail.released)
            self._read(group, tail, look=found.more)

    def _keep(self, group: str, tail: _Tail, found: Found) -> None:
        """Put what was ``found`` behind what was read before."""
        new = [entry for entry in found.entries if entry[0] > tail.position]
        if tail.anchored and not found.more and found.length == len(new):
            self._tell_gap(group, tail)  # what was read last is there no more, and maybe more than that
            tail.anchored = False
        if new:
            tail.ahead.extend(new)
            tail.position, tail.anchored = new[-1][0], True
            tail.needed = max(tail.needed, tail.position)

    def _release(self, group: str, tail: _Tail, position: Position) -> None:
        """Give the members of ``group`` here all up to ``position``, as far as it was read; the rest when it comes."""
        tail.released = max(tail.released, position)
        while tail.ahead and tail.ahead[0][0] <= tail.released:
            tail.given, data = tail.ahead.popleft()
            message = self._giving.take(group, tail.given, data)
            kept = tail.recent if tail.recent is not None else tail.loading
            if kept is not None:
                kept.append(message)
            self._giving.give(group, message)

    def _tell_gap(self, group: str, tail: _Tail) -> None:
        """Say that members here miss messages that nobody can give them any more."""
        tail.recent = tail.loading = None
        counters.history_gaps += 1
        for queue, members in self._store.members(group).items():
            if (follower := self._store.followers.get(queue)) is not None:
                follower.missing(group, members)
        more = self._repeats.more("gap")
        if more is not None:
            logger.warning(
                "Members of the group %s miss messages: its history has lost what came after %s, because that was more "
                "than it keeps, or older, or because Redis has lost it%s",
                group,
                position_text(tail.position),
                more,
            )
