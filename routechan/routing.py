"""Routes: ``route``, ``route_class``, ``include``, and the ``Router`` that searches them (``consumer-api`` section 2).

A routing list is searched in order and the first match wins (RT-02).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from .encoding import Content
from .exceptions import RoutingError
from .inspection import Consumer, Kind, import_dotted, kind_of, name_that_thing
from .inspection.mistakes import no_route, no_routing
from .inspection.patchable import Patchable, replaced, routers
from .message import Message
from .names import as_text, route_channels
from .patterns import Pattern, compile_filter, compile_pattern, groups_of, match_pattern
from .telemetry.counters import ConsumerFigures, figures_of
from .telemetry.log_fields import log_fields

logger = logging.getLogger("routechan")

Match = tuple[Consumer, dict[str, Any]]
Patterns = dict[str, Pattern]

#: How many paths a router remembers its answers for, and how many characters these may have: clients choose them.
FOUND_PATHS = 4096
FOUND_LENGTH = 256


class Matched(NamedTuple):
    """A match: a ``consumer``, its ``kwargs``, its ``kind`` and its ``figures``, decided once for a channel's path."""

    consumer: Consumer
    kwargs: dict[str, Any]
    kind: Kind
    figures: ConsumerFigures


@runtime_checkable
class RouteLike(Protocol):
    """An entry of a routing list: ``route``, ``route_class``, ``include``, or an object of the user's own (RT-01)."""

    def match(self, message: Message) -> Match | None:
        """The consumer of ``message`` and its keyword arguments, or None where this entry does not take it."""

    def channel_names(self) -> set[str]:
        """The channels that this entry may take messages of."""


class Route(Patchable):
    """One consumer for some channels: ``route(channels, consumer, **filters)``.

    Args:
        channels: a channel name, or several.
        consumer: a callable, or its dotted path.
        filters: regular expressions; the value of that name in the content must match from its start. Named
            groups become keyword arguments of the consumer.

    Raises:
        RoutingError: (a ``ValueError``) for what cannot work.
    """

    _decisive = ("channels", "consumer", "filters")

    def __init__(self, channels: str | bytes | Iterable[str | bytes], consumer: Consumer | str, **filters: Any) -> None:
        self.channels = route_channels(channels, consumer)
        self.consumer = _consumer(consumer, self.channels)
        self.filters: Patterns = {key: compile_filter(key, value, self) for key, value in filters.items()}

    def match(self, message: Message) -> Match | None:
        """The consumer and its keyword arguments, or None where this route does not take ``message``."""
        if message.channel_name not in self.channels:
            return None
        if not self.filters:
            return self.consumer, {}
        kwargs: dict[str, Any] = {}
        for key, pattern in self.filters.items():
            found = match_pattern(pattern, message.content.get(key), key)
            if found is None:
                return None
            kwargs.update(groups_of(found))
        return self.consumer, kwargs

    def could_match(self, channel: str, known: Content) -> bool:
        """Whether a later message on ``channel`` can match, of whose content only ``known`` is known."""
        return channel in self.channels and all(
            key not in known or match_pattern(pattern, known[key], key) is not None
            for key, pattern in self.filters.items()
        )

    def channel_names(self) -> set[str]:
        """The channels of this route."""
        return set(self.channels)

    def __str__(self) -> str:
        filters = ", ".join(f"{key}={pattern.pattern!r}" for key, pattern in getattr(self, "filters", {}).items())
        shown = f"({filters})" if filters else ""
        return f"{'/'.join(self.channels)}{shown} -> {name_that_thing(self.consumer)}"


class RouteClass(Route):
    """A class-based consumer, which knows its channels itself: ``route_class(consumer, **filters)``.

    Args:
        consumer: a class with a method ``channel_names()``, or its dotted path.
        filters: as those of ``route``.

    Raises:
        RoutingError: for anything else.
    """

    def __init__(self, consumer: Any, **filters: Any) -> None:
        consumer = import_dotted(consumer, "consumer") if isinstance(consumer, str) else consumer
        if not callable(getattr(consumer, "channel_names", None)):
            raise RoutingError(
                f"route_class() takes a class with a channel_names() method, not {consumer!r}; "
                "for a plain function write route(channel, function)"
            )
        super().__init__(consumer.channel_names(), consumer, **filters)


class Include(Patchable):
    """A routing list within another: ``include(routing, **prefixes)``.

    Args:
        routing: a list of routes, or its dotted path.
        prefixes: regular expressions; what one matches is cut off the value for the routes inside. Its named
            groups join their keyword arguments, where the inner value wins (RT-20).

    Raises:
        RoutingError: for what is no routing.
    """

    _decisive = ("routing", "prefixes")

    def __init__(self, routing: Any, **prefixes: Any) -> None:
        try:
            self.routing = resolve_routing(routing)
        except RoutingError as error:
            self.routing = [refuse(error)]
        self.prefixes: Patterns = {key: compile_pattern(key, value, self) for key, value in prefixes.items()}

    def match(self, message: Message) -> Match | None:
        """The first match among the routes inside, or None where a prefix or all of them do not match ``message``."""
        kwargs: dict[str, Any] = {}
        if self.prefixes:
            shortened = dict(message.content)
            for key, pattern in self.prefixes.items():
                found = match_pattern(pattern, shortened.get(key), key)
                if found is None:
                    return None
                shortened[key] = found.string[found.end() :]
                kwargs.update(groups_of(found))
            message = Message(shortened, message.channel_name, message.channel_layer)
        for entry in self.routing:
            matched = entry.match(message)
            if matched is not None:
                return matched[0], {**kwargs, **matched[1]} if kwargs else matched[1]
        return None

    def could_match(self, channel: str, known: Content) -> bool:
        """Whether a later message on ``channel`` can match, of whose content only ``known`` is known."""
        shortened = dict(known)
        for key, pattern in self.prefixes.items():
            if key in shortened:
                found = match_pattern(pattern, shortened[key], key)
                if found is None:
                    return False
                shortened[key] = found.string[found.end() :]
        return any(could_match(entry, channel, shortened) for entry in self.routing)

    def channel_names(self) -> set[str]:
        """The channels of all routes inside."""
        return set().union(*(entry.channel_names() for entry in self.routing))

    def __str__(self) -> str:
        prefixes = ", ".join(f"{key}={pattern.pattern!r}" for key, pattern in getattr(self, "prefixes", {}).items())
        return f"include({len(self.routing)} routes{', ' if prefixes else ''}{prefixes})"


class Router(Patchable):
    """Finds the consumer of a message. Lifetime: process.

    Args:
        routing: a list, a tuple, a dict ``{channel: consumer}``, or the dotted path of one of these. It is copied,
            so that ``add_route`` changes no other router (OB-28).
        defaults: routes that are asked when none in ``routing`` matches.

    Raises:
        RoutingError: for what is no routing.
    """

    _decisive = ("root",)

    def __init__(self, routing: Any, defaults: Sequence[RouteLike] = ()) -> None:
        self.root = Include(routing)
        self.defaults = list(defaults)
        self.index()
        routers.add(self)

    def add_route(self, route: RouteLike) -> None:
        """Add ``route`` behind the others."""
        self.root.routing.extend(resolve_routing([route]))
        self.index()

    def check_default(self, http_consumer: Consumer | None = None) -> None:
        """Have the default consumers answer what no route takes, and ``http_consumer``, or the one before, requests."""
        kept = [] if http_consumer else _request_routes(self.defaults)
        self.defaults = [*kept, *default_routes(http_consumer)]
        self.index()

    def match(self, message: Message) -> Match | None:
        """The consumer and its keyword arguments of the first route that takes ``message``, or None."""
        found = self._search(message)
        return None if found is None else (found.consumer, found.kwargs)

    def find(self, message: Message) -> Matched | None:
        """The first match for ``message`` with what else is known of its consumer, or None."""
        if not replaced and not self._own_match:
            # The messages of one socket share channel and path; where these decide, the match is looked up.
            try:
                return self._found[message.channel_name, message.content.get("path")]
            except (KeyError, TypeError):  # not known yet, or no path one could look up
                return self._find(message)
        found = self.match(message)
        return None if found is None else _matched(*found)

    def _find(self, message: Message) -> Matched | None:
        matched = self._search(message)
        channel, path = message.channel_name, message.content.get("path")
        if channel in self._by_path:
            _remember(self._found, channel, path, matched)
        return matched

    def serves(self, channels: Iterable[str], known: Content) -> bool:
        """Whether a route, the defaults of sockets aside, could ever take a message on ``channels`` with ``known``."""
        if replaced:
            return True
        asked, path = tuple(channels), known.get("path")
        try:
            return self._served[asked, path]
        except (KeyError, TypeError):
            pass
        entries = [self.root, *_request_routes(self.defaults)]
        served = any(could_match(entry, channel, known) for entry in entries for channel in asked)
        if path is not None and all(channel in self._by_path for channel in asked if channel in self._by_channel):
            _remember(self._served, asked, path, served)
        return served

    def takes(self, message: Message) -> bool:
        """Whether a route takes ``message``; one that raises does not, and is logged."""
        try:
            return self.find(message) is not None
        except Exception:  # a custom route object may raise anything
            logger.exception(
                "Routing a message on %s failed; no consumer takes it",
                message.channel_name,
                extra=log_fields(message.channel_name, message.content),
            )
            return False

    def needs_threads(self, channel: str) -> bool:
        """Whether ``channel`` may have a consumer that is no ``async def``; assumed of the user's own route objects."""
        return any(_needs_threads(entry, channel) for entry in self._by_channel.get(channel, ()))

    @classmethod
    def resolve_routing(cls, routing: Any) -> list[RouteLike]:
        """The list of routes that ``routing`` gives (as in 1.x)."""
        return resolve_routing(routing)

    @classmethod
    def normalise_re_arg(cls, value: Any) -> Any:
        """The text of ``value``, where it is bytes (as in 1.x)."""
        return as_text(value)

    def _search(self, message: Message) -> Matched | None:
        # While a ``match`` is replaced each object is asked, from the root down, as in 1.x.
        indexed = self._by_channel.get(message.channel_name, [])
        for entry in [self.root, *self.defaults] if replaced else indexed:
            found = entry.match(message)
            if found is not None:
                return _matched(*found)
        return None

    def index(self) -> None:
        """Look at all routes anew."""
        self.channels = self.root.channel_names().union(*(entry.channel_names() for entry in self.defaults))
        entries = [*self.root.routing, *self.defaults]
        self._by_channel: dict[str, list[RouteLike]] = {
            channel: [entry for entry in entries if channel in entry.channel_names()] for channel in self.channels
        }
        self._by_path = {channel for channel, found in self._by_channel.items() if all(map(_depends_on_path, found))}
        self._found: dict[tuple[str, Any], Matched | None] = {}
        self._served: dict[tuple[tuple[str, ...], Any], bool] = {}
        self._own_match = type(self).match is not Router.match  # that of a subclass


def _matched(consumer: Consumer, kwargs: dict[str, Any]) -> Matched:
    return Matched(consumer, kwargs, kind_of(consumer), figures_of(consumer))


def connect_consumer(message: Message, *args: Any, **kwargs: Any) -> None:
    """Accept the socket of ``message``: the default for ``websocket.connect``."""
    if message.reply_channel is not None:
        message.reply_channel.send({"accept": True})


def null_consumer(*args: Any, **kwargs: Any) -> None:
    """Do nothing: the default for the other events of a socket."""


async def aconnect_consumer(message: Message, *args: Any, **kwargs: Any) -> None:
    """Accept the socket of ``message``, without a thread."""
    connect_consumer(message)


async def anull_consumer(*args: Any, **kwargs: Any) -> None:
    """``null_consumer`` without a thread."""


def default_routes(http_consumer: Consumer | None = None) -> list[RouteLike]:
    """The routes of what the routing says nothing about; ``http.request`` only with an ``http_consumer``."""
    return [
        *([Route("http.request", http_consumer)] if http_consumer else []),
        Route("websocket.connect", aconnect_consumer),
        Route(["websocket.receive", "websocket.disconnect"], anull_consumer),
    ]


def _request_routes(entries: Iterable[RouteLike]) -> list[RouteLike]:
    return [entry for entry in entries if "http.request" in entry.channel_names()]


def _remember(found: dict[Any, Any], asked: Any, path: Any, answer: Any) -> None:
    """Keep the ``answer`` for a path, unless that is no text or too long."""
    if path is None or (isinstance(path, str) and len(path) <= FOUND_LENGTH):
        if len(found) >= FOUND_PATHS:
            found.clear()
        found[asked, path] = answer


def _depends_on_path(entry: RouteLike) -> bool:
    """Whether an entry of our own making, with our own ``match``, looks at nothing but channel and path."""
    if type(entry) is Include:
        return entry.prefixes.keys() <= {"path"} and all(map(_depends_on_path, entry.routing))
    return type(entry) in (Route, RouteClass) and entry.filters.keys() <= {"path"}  # type: ignore[attr-defined]


def _needs_threads(entry: RouteLike, channel: str) -> bool:
    if channel not in entry.channel_names():
        return False
    if isinstance(entry, Include):
        return any(_needs_threads(inner, channel) for inner in entry.routing)
    return type(entry) not in (Route, RouteClass) or not kind_of(entry.consumer).is_async  # type: ignore[attr-defined]


def could_match(entry: RouteLike, channel: str, known: Content) -> bool:
    """Whether ``entry`` can match a later message on ``channel``; ``known`` is asked of entries of our own only."""
    if isinstance(entry, (Route, Include)):
        return entry.could_match(channel, known)
    return channel in entry.channel_names()


def refuse(error: RoutingError, entry: Any = None) -> Any:
    """What stands for an ``entry`` with an ``error``, which is raised unless the old import names put that off."""
    raise error


def resolve_routing(routing: Any) -> list[RouteLike]:
    """The routes that ``routing`` gives, as a new list.

    Args:
        routing: a list, a tuple, a dict ``{channel: consumer}``, or the dotted path of one of these.

    Raises:
        RoutingError: for anything else, and for an entry that is no route; the text says what to write.
    """
    source = ""
    if isinstance(routing, str):
        source = f" in {routing}"
        routing = import_dotted(routing, "routing")
    if isinstance(routing, Mapping):
        return [Route(channel, consumer) for channel, consumer in routing.items()]
    if not isinstance(routing, (list, tuple)):
        raise RoutingError(no_routing(routing, source))
    entries = list(routing)
    for position, entry in enumerate(routing):
        if not isinstance(entry, RouteLike) or isinstance(entry, type):
            error = RoutingError(f"entry {position} of the routing{source} {no_route(entry)}")
            entries[position] = refuse(error, entry)
    return entries


def _consumer(consumer: Any, channels: list[str]) -> Consumer:
    consumer = import_dotted(consumer, "consumer") if isinstance(consumer, str) else consumer
    if not callable(consumer):
        hint = "; a module was given, name the function inside it" if type(consumer).__name__ == "module" else ""
        error = RoutingError(
            f"the consumer of {'/'.join(channels)} is {consumer!r:.100}, which cannot be called; "
            f"expected a function, a class or their dotted path{hint}"
        )
        return cast(Consumer, refuse(error))
    return cast(Consumer, consumer)


route = Route
route_class = RouteClass
include = Include
