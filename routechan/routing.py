"""``route``, ``route_class``, ``include`` and the ``Router`` that searches them.

Source: ``consumer-api`` section 2. A routing list is searched in order and the first match wins (RT-02).
Anything with ``match(message)`` and ``channel_names()`` may stand in it (RT-01).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from .describe import name_that_thing
from .dotted import import_dotted
from .encoding import Content
from .exceptions import InvalidName, RoutingError
from .kinds import Consumer, kind_of
from .message import Message
from .names import as_text, check_channel_name
from .observe.failures import about
from .patterns import Patterns, compile_pattern, match_pattern, named_groups_only

logger = logging.getLogger("routechan")

Match = tuple[Consumer, dict[str, Any]]

#: For how many paths a router remembers its answers, and how long these may be: clients choose them.
KNOWN_PATHS = 4096
KNOWN_LENGTH = 256


@runtime_checkable
class RouteLike(Protocol):
    """What may stand in a routing list."""

    def match(self, message: Message) -> Match | None: ...

    def channel_names(self) -> set[str]: ...


class Route:
    """One consumer for some channels: ``route(channels, consumer, **filters)``.

    ``channels`` is a name or several, ``consumer`` a callable or its dotted path, each filter a regular
    expression that the content value of that name must match from its start; named groups become
    keyword arguments of the consumer. Raises ``RoutingError`` (a ``ValueError``) for what cannot work.
    """

    def __init__(self, channels: str | bytes | Iterable[str | bytes], consumer: Any, **filters: Any) -> None:
        self.channels = _channel_names(channels, consumer)
        self.consumer = _consumer(consumer, self.channels)
        self.filters: Patterns = {
            key: named_groups_only(compile_pattern(key, value, self), key, self) for key, value in filters.items()
        }

    def match(self, message: Message) -> Match | None:
        """``(consumer, keyword arguments)`` if this route takes the message."""
        if message.channel_name not in self.channels:
            return None
        if not self.filters:
            return self.consumer, {}
        kwargs: dict[str, Any] = {}
        for key, pattern in self.filters.items():
            found = match_pattern(pattern, message.content.get(key))
            if found is None:
                return None
            kwargs.update(found.groupdict())
        return self.consumer, kwargs

    def could_match(self, channel: str, known: Content) -> bool:
        """Whether a later message on ``channel`` can match, when all that is known of it is ``known``."""
        return channel in self.channels and all(
            key not in known or match_pattern(pattern, known[key]) is not None for key, pattern in self.filters.items()
        )

    def channel_names(self) -> set[str]:
        return set(self.channels)

    def __str__(self) -> str:
        filters = ", ".join(f"{key}={pattern.pattern!r}" for key, pattern in getattr(self, "filters", {}).items())
        shown = f"({filters})" if filters else ""
        return f"{'/'.join(self.channels)}{shown} -> {name_that_thing(self.consumer)}"


class RouteClass(Route):
    """A class-based consumer, which knows its channels itself: ``route_class(consumer, **filters)``."""

    def __init__(self, consumer: Any, **filters: Any) -> None:
        consumer = import_dotted(consumer, "consumer") if isinstance(consumer, str) else consumer
        if not callable(getattr(consumer, "channel_names", None)):
            raise RoutingError(
                f"route_class() takes a class with a channel_names() method, not {consumer!r}; "
                "for a plain function write route(channel, function)"
            )
        super().__init__(consumer.channel_names(), consumer, **filters)


class Include:
    """A routing list within another: ``include(routing, **prefixes)``.

    Each prefix is a regular expression; what it matches is cut off the value for the routes inside,
    and its named groups join their keyword arguments, where the inner value wins (RT-20).
    """

    def __init__(self, routing: Any, **prefixes: Any) -> None:
        self.routing = resolve_routing(routing)
        self.prefixes: Patterns = {key: compile_pattern(key, value, self) for key, value in prefixes.items()}

    def match(self, message: Message) -> Match | None:
        kwargs: dict[str, Any] = {}
        if self.prefixes:
            shortened = dict(message.content)
            for key, pattern in self.prefixes.items():
                found = match_pattern(pattern, shortened.get(key))
                if found is None:
                    return None
                shortened[key] = found.string[found.end() :]
                kwargs.update(found.groupdict())
            message = Message(shortened, message.channel_name, message.channel_layer)
        for entry in self.routing:
            matched = entry.match(message)
            if matched is not None:
                return matched[0], {**kwargs, **matched[1]} if kwargs else matched[1]
        return None

    def could_match(self, channel: str, known: Content) -> bool:
        shortened = dict(known)
        for key, pattern in self.prefixes.items():
            if key in shortened:
                found = match_pattern(pattern, shortened[key])
                if found is None:
                    return False
                shortened[key] = found.string[found.end() :]
        return any(could_match(entry, channel, shortened) for entry in self.routing)

    def channel_names(self) -> set[str]:
        return set().union(*(entry.channel_names() for entry in self.routing))

    def __str__(self) -> str:
        prefixes = ", ".join(f"{key}={pattern.pattern!r}" for key, pattern in getattr(self, "prefixes", {}).items())
        return f"include({len(self.routing)} routes{', ' if prefixes else ''}{prefixes})"


class Router:
    """Finds the consumer of a message. Lifetime: process.

    ``routing`` is a list, a tuple, a dict ``{channel: consumer}`` or the dotted path of one of these. It is
    copied, so that ``add_route`` touches no other router (OB-28). ``defaults`` are asked when nothing in
    it matches.
    """

    def __init__(self, routing: Any, defaults: Sequence[RouteLike] = ()) -> None:
        self.root = Include(routing)
        self.defaults = list(defaults)
        self._index()

    def add_route(self, route: RouteLike) -> None:
        """Add ``route`` behind the others."""
        self.root.routing.extend(resolve_routing([route]))
        self._index()

    def check_default(self, http_consumer: Consumer | None = None) -> None:
        """Have the default consumers answer what no route takes (RT-30)."""
        self.defaults = default_routes(http_consumer)
        self._index()

    def match(self, message: Message) -> Match | None:
        """``(consumer, keyword arguments)`` of the first match, or None."""
        channel = message.channel_name
        entries = self._by_channel.get(channel, ())
        if channel not in self._by_path:
            return _first_match(entries, message)
        # The answer depends on the path alone, which a socket's messages share: it is looked up, not computed.
        key = channel, message.content.get("path")
        try:
            return self._known[key]
        except KeyError:
            pass
        except TypeError:  # no path one could look up
            return _first_match(entries, message)
        if isinstance(key[1], str) and len(key[1]) > KNOWN_LENGTH:
            return _first_match(entries, message)
        if len(self._known) >= KNOWN_PATHS:
            self._known.clear()
        matched = self._known[key] = _first_match(entries, message)
        return matched

    def serves(self, channels: Iterable[str], known: Content) -> bool:
        """Whether a route (the defaults aside) could ever take a message on ``channels``."""
        return any(self.root.could_match(channel, known) for channel in channels)

    def takes(self, message: Message) -> bool:
        """Whether a route takes ``message``; one that raises does not, and is logged."""
        try:
            return self.match(message) is not None
        except Exception:  # a custom route object may raise anything
            logger.exception(
                "Routing a message on %s failed; no consumer takes it",
                message.channel_name,
                extra=about(message.channel_name, message.content),
            )
            return False

    def needs_threads(self, channel: str) -> bool:
        """Whether a consumer that is no ``async def`` could take a message on ``channel``.

        Believed of an entry of the user's own making, which says only when asked for a message.
        """
        return any(_needs_threads(entry, channel) for entry in self._by_channel.get(channel, ()))

    @classmethod
    def resolve_routing(cls, routing: Any) -> list[RouteLike]:
        return resolve_routing(routing)

    @classmethod
    def normalise_re_arg(cls, value: Any) -> Any:
        return as_text(value)

    def _index(self) -> None:
        self.channels = self.root.channel_names().union(*(entry.channel_names() for entry in self.defaults))
        entries = [*self.root.routing, *self.defaults]
        self._by_channel: dict[str, list[RouteLike]] = {
            channel: [entry for entry in entries if channel in entry.channel_names()] for channel in self.channels
        }
        self._by_path = {channel for channel, found in self._by_channel.items() if all(map(_depends_on_path, found))}
        self._known: dict[tuple[str, Any], Match | None] = {}


def connect_consumer(message: Message, *args: Any, **kwargs: Any) -> None:
    """Accepts the socket: the default for ``websocket.connect``."""
    if message.reply_channel is not None:
        message.reply_channel.send({"accept": True})


def null_consumer(*args: Any, **kwargs: Any) -> None:
    """Does nothing: the default for the other events of a socket."""


async def aconnect_consumer(message: Message, *args: Any, **kwargs: Any) -> None:
    """``connect_consumer`` without a thread."""
    connect_consumer(message)


async def anull_consumer(*args: Any, **kwargs: Any) -> None:
    """``null_consumer`` without a thread."""


def default_routes(http_consumer: Consumer | None = None) -> list[RouteLike]:
    """What answers where the routing says nothing; ``http.request`` only if there is a consumer for it."""
    routes: list[RouteLike] = [Route("http.request", http_consumer)] if http_consumer else []
    routes += [
        Route("websocket.connect", aconnect_consumer),
        Route("websocket.receive", anull_consumer),
        Route("websocket.disconnect", anull_consumer),
    ]
    return routes


def _first_match(entries: Iterable[RouteLike], message: Message) -> Match | None:
    for entry in entries:
        matched = entry.match(message)
        if matched is not None:
            return matched
    return None


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
    """``could_match`` of an entry; an entry of the user's own making is believed on its channel names."""
    if isinstance(entry, (Route, Include)):
        return entry.could_match(channel, known)
    return channel in entry.channel_names()


def resolve_routing(routing: Any) -> list[RouteLike]:
    """A new list of the routes that ``routing`` gives, each checked to be one."""
    source = ""
    if isinstance(routing, str):
        source = f" in {routing}"
        routing = import_dotted(routing, "routing")
    if isinstance(routing, Mapping):
        return [Route(channel, consumer) for channel, consumer in routing.items()]
    if not isinstance(routing, (list, tuple)):
        hint = ""
        if type(routing).__name__ == "module":
            hint = f"; a module was given, name the list inside it: '{routing.__name__}.channel_routing'"
        raise RoutingError(
            f"a routing is a list of route(), route_class() and include() entries, a dict of channel: consumer, "
            f"or the dotted path of one, not {routing!r:.100}{source}{hint}"
        )
    for position, entry in enumerate(routing):
        if not isinstance(entry, RouteLike) or isinstance(entry, type):
            raise RoutingError(f"entry {position} of the routing{source} {_not_a_route(entry)}")
    return list(routing)


def _not_a_route(entry: Any) -> str:
    if isinstance(entry, (list, tuple)):
        return (
            f"is a {type(entry).__name__}, {entry!r:.100}; write route(channel, consumer), or include([...]) for a list"
        )
    if type(entry).__module__.startswith("django.urls"):
        return (
            f"is a URL pattern of Django, {entry!r:.100}; write "
            'route("websocket.connect", consumer, path=r"^/...$"), whose pattern sees the leading slash'
        )
    if callable(entry):
        return f"is {name_that_thing(entry)} itself; write route(channel, {getattr(entry, '__name__', 'consumer')})"
    return f"is {entry!r:.100}; expected route(), route_class() or include()"


def _channel_names(channels: Any, consumer: Any) -> list[str]:
    given = [channels] if isinstance(channels, (str, bytes)) else channels
    names = list(given) if isinstance(given, Iterable) else []
    if names and all(isinstance(name, (str, bytes)) and name for name in names):
        try:
            return [check_channel_name(as_text(name)) for name in names]
        except (InvalidName, UnicodeDecodeError) as error:
            raise RoutingError(
                f"route() takes channel names such as 'websocket.receive', not {channels!r:.100} "
                f"(its consumer is {consumer!r:.100}): {error}"
            ) from error
    raise RoutingError(
        "route() takes a channel name such as 'websocket.receive', or a list of them, as its first argument, "
        f"not {channels!r:.100} (its consumer is {consumer!r:.100})"
    )


def _consumer(consumer: Any, channels: list[str]) -> Consumer:
    if isinstance(consumer, str):
        consumer = import_dotted(consumer, "consumer")
    if not callable(consumer):
        hint = ""
        if type(consumer).__name__ == "module":
            hint = "; a module was given, name the function inside it"
        raise RoutingError(
            f"the consumer of {'/'.join(channels)} is {consumer!r:.100}, which cannot be called; "
            f"expected a function, a class or their dotted path{hint}"
        )
    made: Consumer = consumer
    return made


route = Route
route_class = RouteClass
include = Include
