"""``Channel`` and ``Group``, through which user code sends.

Sends wait in the outbox until the running consumer ends; outside of consumers, and with ``immediately=True``, they
happen at once. Adding and discarding members always happens at once (GR-03). Each operation has an ``a`` twin for
``async def`` code. An operation that would block the event loop raises ``WouldBlock`` there, and names its twin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from . import names
from .encoding import Content
from .exceptions import NoHistory
from .layers.base import EXCLUDE, NOW, ONCE, BaseChannelLayer, SyncChannelLayer
from .layers.claims import Claims
from .layers.history import History
from .layers.presence import check_who
from .layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from .layers.sync import no_presence
from .sending import asking
from .sending.asking import TIMEOUT
from .sending.target import Target, about

#: Those of the layers are here because they were in 1.x.
__all__ = ["DEFAULT_CHANNEL_LAYER", "Channel", "Group", "channel_layers"]


class Channel(Target):
    """A named queue: ``Channel(name, alias="default", channel_layer=None)``.

    Args:
        name: the channel's name, a str or ASCII bytes; the layer checks it when it is used (CH-01).
        alias: the alias of its layer in ``CHANNEL_LAYERS``.
        channel_layer: the layer itself, in place of ``alias``.

    Raises:
        KeyError: an unknown ``alias`` (CH-03).
    """

    #: Whether the connection behind this channel is known to be closed. Only a message's reply channel knows.
    closed = False

    #: What the client of a socket that came back says it has. Only a message's reply channel knows.
    claims: Claims | None = None

    _read_by_name = True

    def ask(self, content: Content, timeout: float = TIMEOUT) -> Content:
        """Ask the client of the socket whose reply channel this is, at once, and wait on this thread for its answer.

        Args:
            content: a dict with ``text`` or ``bytes``.
            timeout: seconds that the answer is waited for.

        Returns:
            The answer, a dict with ``text`` or ``bytes``.

        Raises:
            AnswerTimeout: no answer has come in time.
            SocketLost: the socket is gone.
            AnswerRefused: the client says that it does not answer.
            CannotAsk: the client does not speak ``routechan.v1``.
            TooManyQuestions: the client has as many questions open as it may have.
            InvalidContent: ``content`` is no question.
            ValueError: this is not the reply channel of a socket, or ``timeout`` no number of seconds.
            WouldBlock: on an event loop, where ``aask`` is to be used.
        """
        return asking.ask(self.name, self.channel_layer, content, timeout)

    async def aask(self, content: Content, timeout: float = TIMEOUT) -> Content:
        """``ask`` for async code, with ``content`` and ``timeout``.

        Returns:
            The answer.
        """
        return await asking.aask(self.name, self.channel_layer, content, timeout)

    def _send_now(self, content: Content, delay: float, headers: dict[str, Any] | None = None) -> None:
        self.channel_layer.send(self.name, content, **self._options(delay, headers))

    def _post(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None] | None:
        if headers:
            return layer.post(self.name, content, delay, headers=headers)
        return layer.post(self.name, content, delay)

    def _asend(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None]:
        if headers:
            return layer.send(self.name, content, delay, headers=headers)
        return layer.send(self.name, content, delay)

    def __str__(self) -> str:
        return self.name


class Group(Target):
    """A named set of channels: ``Group(name, alias="default", channel_layer=None)``.

    A send reaches each member. A member that is full misses it, and nothing is raised for that (GR-06).

    Args:
        name: the group's name, a str or ASCII bytes.
        alias: the alias of its layer in ``CHANNEL_LAYERS``.
        channel_layer: the layer itself, in place of ``alias``.

    Raises:
        KeyError: an unknown ``alias`` (CH-03).
    """

    _is_group = True

    def send(
        self,
        content: Content,
        immediately: bool = False,
        delay: float = NOW,
        *,
        exclude: Channel | str | None = None,
        latest: str | None = None,
        on_commit: bool | None = None,
    ) -> None:
        """Send ``content`` to the members, when the running consumer ends, or at once outside of one.

        Args:
            content: a dict; kept by reference until it is sent (CH-07).
            immediately: send at once, inside a consumer too.
            delay: seconds after that; the layer keeps the message meanwhile.
            exclude: a ``Channel`` or its name, which does not get the message if it is a member; None for no one.
            latest: as for ``Channel.send``; in a history each message keeps its place.
            on_commit: as for ``Channel.send``.

        Raises:
            InvalidContent: ``content`` is no dict (GR-04).
            InvalidName: ``exclude`` is no channel.
            ValueError: ``delay`` is no number of seconds, or ``latest`` no text of 1 to 100 characters.
            RuntimeError: ``on_commit``, and nobody has said whose transactions that means.
        """
        headers = self._headers(content, exclude, latest)
        sender = self._begin(content, immediately, delay, on_commit, headers)
        if sender is not None:
            self._go(sender, content)

    async def asend(
        self,
        content: Content,
        immediately: bool = False,
        delay: float = NOW,
        *,
        exclude: Channel | str | None = None,
        latest: str | None = None,
        on_commit: bool | None = None,
    ) -> None:
        """``send`` for async code.

        ``content``, ``immediately``, ``delay``, ``exclude``, ``latest`` and ``on_commit`` are the same.
        """
        headers = self._headers(content, exclude, latest)
        sender = self._begin(content, immediately, delay, on_commit, headers)
        if sender is not None:
            await self._ago(sender, content)

    def _headers(self, content: Content, exclude: Channel | str | None, latest: str | None) -> dict[str, Any] | None:
        closes = isinstance(content, dict) and "close" in content and isinstance(content["close"], int)
        if exclude is None and latest is None and not closes:
            return None
        headers = {} if exclude is None else self._leaving_out(exclude)
        if latest is not None:
            headers |= about(latest)
        if closes:  # who comes later is not to be closed by what closed others
            headers[ONCE] = True
        return headers

    def _leaving_out(self, channel: Channel | str) -> dict[str, Any]:
        if not isinstance(self.channel_layer, SyncChannelLayer):
            raise TypeError(
                f"{type(self.channel_layer).__name__} is no routechan layer and can leave nobody out of a message; "
                "send to each of channels() but that one"
            )
        return {EXCLUDE: names.check_channel_name(_name_of(channel))}

    def add(
        self,
        channel: Channel | str,
        *,
        last: int = 0,
        since: str | None = None,
        who: dict[str, Any] | None = None,
    ) -> bool | None:
        """Make ``channel`` a member, at once; of a group with a history it may have what was sent before, first.

        Args:
            channel: a ``Channel`` or its name.
            last: how many of the last messages it is given.
            since: the position of the last message that its client has: all messages after that are given to it, and
                ``last`` only if some are no longer kept. For a message's reply channel whose client came back it is
                what that client has, unless it is given.
            who: who reads the channel, for ``present``: a small dict with an ``id``, a str or an int. Adding again with
                another one replaces it; None changes nothing.

        Returns:
            Whether it was given all that came after ``since``; None if nobody asked for that.

        Raises:
            NoHistory: ``last`` or ``since``, and the group keeps no history.
            InvalidContent: ``who`` has no such ``id``, or cannot travel.
            MessageTooLarge: ``who`` is too large.
            TooManyGroups: a socket is in as many groups as it may be.
            WouldBlock: on an event loop, where ``aadd`` is to be used.
        """
        self._refuse_on_loop("add", "channel")
        if who is not None:
            self._keeper()
            check_who(who)
        recovered: bool | None = None
        with self._claiming(channel, since) as since:
            if last or since is not None:
                recovered = self._kept_by().group_catch_up(self.name, _name_of(channel), last=last, since=since)
            else:
                self.channel_layer.group_add(self.name, _name_of(channel))
        if who is not None:
            self._keeper().group_introduce(self.name, _name_of(channel), who)
        return recovered

    @contextmanager
    def _claiming(self, channel: Channel | str, since: str | None) -> Iterator[str | None]:
        """The position to join from: ``since``, else that of the client, to whom it is given back if that fails."""
        claims = channel.claims if isinstance(channel, Channel) else None
        face = self.channel_layer
        if claims is None or since is not None or not isinstance(face, SyncChannelLayer):
            yield since
            return
        if not face.layer.keeps_history(self.name):
            yield None
            return
        try:
            yield claims.take(self.name)
        except BaseException:
            claims.give_back(self.name)
            raise

    def discard(self, channel: Channel | str) -> None:
        """End the membership of ``channel``, a ``Channel`` or its name, at once; silent where there is none."""
        self._refuse_on_loop("discard", "channel")
        self.channel_layer.group_discard(self.name, _name_of(channel))

    async def aadd(
        self,
        channel: Channel | str,
        *,
        last: int = 0,
        since: str | None = None,
        who: dict[str, Any] | None = None,
    ) -> bool | None:
        """``add`` a ``channel`` from async code, with ``last``, ``since`` and ``who``.

        Returns:
            What ``add`` returns.
        """
        if who is not None:
            check_who(who)
        recovered: bool | None = None
        with self._claiming(channel, since) as since:
            if last or since is not None:
                recovered = await self._layer.group_catch_up(self.name, _name_of(channel), last=last, since=since)
            else:
                await self._layer.group_add(self.name, _name_of(channel))
        if who is not None:
            await self._layer.group_introduce(self.name, _name_of(channel), who)
        return recovered

    def present(self) -> list[dict[str, Any]]:
        """Who is in the group, on whatever server: what was said with ``add(..., who=...)``, each ``id`` once.

        Ids that are numbers come first, then those that are text, each ascending. The list and the dicts are new ones.

        Raises:
            WouldBlock: on an event loop, where ``apresent`` is to be used.
        """
        self._refuse_on_loop("present")
        people: list[dict[str, Any]] = self._keeper().group_present(self.name)
        return people

    async def apresent(self) -> list[dict[str, Any]]:
        """Who is in the group, for async code."""
        return await self._layer.group_present(self.name)

    def _keeper(self) -> SyncChannelLayer:
        if not isinstance(self.channel_layer, SyncChannelLayer):
            raise NotImplementedError(no_presence(self.channel_layer))
        return self.channel_layer

    async def adiscard(self, channel: Channel | str) -> None:
        """``discard`` a ``channel`` from async code."""
        await self._layer.group_discard(self.name, _name_of(channel))

    def history(self, limit: int | None = None, since: str | None = None) -> History:
        """The messages that the group keeps, each with ``position`` and ``content``; the oldest of them first.

        Args:
            limit: how many at most, the newest; None for all.
            since: the ``position`` after which they come; None for any. Whether that is all that came after it is the
                ``complete`` of what is returned.

        Raises:
            NoHistory: the group keeps no history.
            WouldBlock: on an event loop, where ``ahistory`` is to be used.
        """
        self._refuse_on_loop("history")
        kept: History = self._kept_by().group_history(self.name, limit, since)
        return kept

    async def ahistory(self, limit: int | None = None, since: str | None = None) -> History:
        """The messages of ``history``, for async code; ``limit`` and ``since`` are the same."""
        return await self._layer.group_history(self.name, limit, since)

    def _kept_by(self) -> SyncChannelLayer:
        if not isinstance(self.channel_layer, SyncChannelLayer):
            raise NoHistory(self.name)
        return self.channel_layer

    def channels(self) -> list[str]:
        """The names of the members."""
        self._refuse_on_loop("channels")
        return list(self.channel_layer.group_channels(self.name))

    async def achannels(self) -> list[str]:
        """The names of the members, for async code."""
        return await self._layer.group_channels(self.name)

    def count(self) -> int:
        """How many members there are."""
        self._refuse_on_loop("count")
        return int(self.channel_layer.group_count(self.name))

    async def acount(self) -> int:
        """How many members there are, for async code."""
        return await self._layer.group_count(self.name)

    @property
    def _layer(self) -> BaseChannelLayer:
        if not isinstance(self.channel_layer, SyncChannelLayer):
            raise TypeError(
                f"{type(self.channel_layer).__name__} is no routechan layer and has no async face; "
                "use add, discard and channels without the 'a', from a plain function"
            )
        return self.channel_layer.layer

    def _send_now(self, content: Content, delay: float, headers: dict[str, Any] | None = None) -> None:
        self.channel_layer.send_group(self.name, content, **self._options(delay, headers))

    def _post(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None] | None:
        if headers:
            return layer.post_group(self.name, content, delay, headers=headers)
        return layer.post_group(self.name, content, delay)

    def _asend(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None]:
        if headers:
            return layer.group_send(self.name, content, delay, headers=headers)
        return layer.group_send(self.name, content, delay)


def _name_of(channel: Channel | str) -> str:
    return channel.name if isinstance(channel, Channel) else channel
