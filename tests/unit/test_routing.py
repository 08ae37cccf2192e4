"""``route``, ``route_class`` and the ``Router``."""

from __future__ import annotations

import re
from typing import Any

import pytest

import routechan
from routechan import Message, include, route, route_class
from routechan.consumers.dispatch import Dispatcher
from routechan.exceptions import RoutingError
from routechan.layers import SyncChannelLayer
from routechan.routing import (
    FOUND_LENGTH,
    FOUND_PATHS,
    Include,
    Route,
    RouteClass,
    Router,
    aconnect_consumer,
    anull_consumer,
    connect_consumer,
    default_routes,
    null_consumer,
)

from .helpers import CustomRoute, a_consumer, a_routing, another_consumer, drain, match, message
from .helpers import a_consumer as one
from .helpers import another_consumer as two

HERE = "tests.unit.helpers"


class ClassBased:
    """As a class-based consumer of 1.x: it knows its channels."""

    def __init__(self, message: Message, **kwargs: Any) -> None: ...

    @classmethod
    def channel_names(cls) -> set[str]:
        return {"websocket.connect", "websocket.receive"}


# Route objects


def test_public_names_are_the_classes() -> None:
    """Section 2: ``route``, ``route_class`` and ``include`` are the classes, usable with ``isinstance``."""
    assert (route, route_class, include) == (Route, RouteClass, Include)
    assert routechan.route is Route


def test_custom_route_objects() -> None:
    """RT-01: anything with ``match`` and ``channel_names`` may stand in a list, also in an include."""
    custom = CustomRoute((one, {"a": "b"}))
    router = Router([include([custom])])
    assert router.channels == {"custom"}
    assert router.match(message({"x": 1}, "custom")) == (one, {"a": "b"})
    assert Router([custom]).match(message({}, "custom")) == (one, {"a": "b"})


def test_the_first_match_wins() -> None:
    """RT-02: entries are asked in order, and none after the first that matches."""
    first, last = CustomRoute(), CustomRoute((two, {}))
    routing = [first, route("custom", one, path="^/x"), last]
    assert match(routing, {"path": "/x"}, "custom") == (one, {})
    assert (len(first.asked), len(last.asked)) == (1, 0)
    assert match(routing, {"path": "/y"}, "custom") == (two, {})


# route


@pytest.mark.parametrize(
    "channels", ["a", b"a", ["a"], ("a",), {"a"}, [b"a"], iter(["a"])], ids=lambda value: type(value).__name__
)
def test_channels_of_a_route(channels: Any) -> None:
    """RT-03: one name, bytes too, or an iterable of names, of which bytes are ASCII."""
    assert Route(channels, one).channels == ["a"]


def test_consumer_by_dotted_path() -> None:
    """RT-04: imported when the route is made."""
    assert Route("a", f"{HERE}.a_consumer").consumer is a_consumer


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{HERE}.nothing_here", "cannot be imported: module 'tests.unit.helpers' has no 'nothing_here'"),
        ("no.such.module.consumer", "cannot be imported: No module named 'no'"),
        ("consumer", "has no dot; write the module and the name in it"),
    ],
)
def test_consumer_that_cannot_be_imported(path: str, text: str) -> None:
    """RT-04: a ``ValueError`` that names the string and the cause, for a path without a dot too."""
    with pytest.raises(RoutingError, match=f"the consumer '{path}' {text}") as caught:
        Route("a", path)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", ["^/x$", b"^/x$", re.compile("^/x$"), re.compile(b"^/x$")])
def test_filter_values(value: Any) -> None:
    """RT-05: str, bytes or compiled, compiled when the route is made, without flags of ours."""
    made = Route("a", one, path=value)
    assert made.filters["path"].pattern == "^/x$"
    assert match([made], {"path": "/x"}, "a") == (one, {})
    assert match([made], {"path": "/X"}, "a") is None


ONE, TWO = (one, {}), (two, {})

#: Routes with a filter each, for the next test: falling through, filters on several keys, and keyword arguments.
FALLING_THROUGH = [route("a", one, path="^/x$"), route("a", two, path="^/y$")]
SEVERAL = [route("a", one, method="^POST$", command="^(?P<what>.+)$"), route("a", two)]
GROUPS = [route("a", one, path="^/(?P<room>[a-z]+)(?P<page>/[0-9]+)?$", method="^(?P<room>[A-Z]+)$")]
DICT = {"a": one, "b": f"{HERE}.a_consumer"}


@pytest.mark.parametrize(
    ("routing", "channel", "content", "found"),
    [
        # RT-03: a route takes messages on each of its channels.
        ([route(["a", b"b"], one)], "a", {}, ONE),
        ([route(["a", b"b"], one)], "b", {}, ONE),
        ([route(["a", b"b"], one)], "ab", {}, None),
        # RT-05: a compiled pattern is used as it is, with its flags.
        ([route("a", one, path=re.compile("^/x$", re.IGNORECASE))], "a", {"path": "/X"}, ONE),
        # RT-07: filter names are content keys of any kind; RT-08: each must be there and match.
        (SEVERAL, "a", {"method": "POST", "command": "go"}, (one, {"what": "go"})),
        (SEVERAL, "a", {"method": "GET", "command": "go"}, TWO),
        (SEVERAL, "a", {"method": "POST"}, TWO),
        # RT-08: a missing key or another value lets the next entry have the message.
        (FALLING_THROUGH, "a", {"path": "/x"}, ONE),
        (FALLING_THROUGH, "a", {"path": "/y"}, TWO),
        (FALLING_THROUGH, "a", {"path": "/z"}, None),
        (FALLING_THROUGH, "a", {}, None),
        (FALLING_THROUGH, "b", {"path": "/x"}, None),
        # RT-09: matching is anchored at the start only, as ``re.match``, with or without ``^``.
        ([route("a", one, path="^/x")], "a", {"path": "/x/and/more"}, ONE),
        ([route("a", one, path="^/x")], "a", {"path": "/y/x"}, None),
        ([route("a", one, path="/x")], "a", {"path": "/x/and/more"}, ONE),
        ([route("a", one, path="/x")], "a", {"path": "/y/x"}, None),
        # RT-10: a bytes value is decoded as ASCII before it is matched, and so are its groups.
        ([route("a", one, path="^/(?P<room>.+)$")], "a", {"path": b"/x"}, (one, {"room": "x"})),
        # A body is UTF-8, and may hold anything behind what is looked for.
        ([route("a", one, body="^(?P<name>caf\xe9)")], "a", {"body": "caf\xe9".encode()}, (one, {"name": "caf\xe9"})),
        ([route("a", one, body="^{")], "a", {"body": b'{"a": "\xff"}'}, ONE),
        ([include([route("a", one, body="^x")], body="^caf\xe9")], "a", {"body": "caf\xe9x".encode()}, ONE),
        # A pattern of bytes is matched with its bytes, of a body and of a binary frame; groups are text as ever.
        ([route("a", one, body=rb"^\xff(?P<name>\w)")], "a", {"body": b"\xffx"}, (one, {"name": "x"})),
        ([route("a", one, body=b"^\xff")], "a", {"body": "\xff".encode()}, None),
        ([route("a", one, body="caf\xe9".encode())], "a", {"body": "caf\xe9".encode()}, ONE),
        ([route("a", one, body=re.compile(rb"^\x80X", re.IGNORECASE))], "a", {"body": b"\x80x"}, ONE),
        ([route("a", one, body=rb"^(?P<name>.)")], "a", {"body": b"\xff"}, (one, {"name": "\ufffd"})),
        ([route("a", one, body=rb"^(?P<name>x)?")], "a", {"body": b"\xff"}, (one, {"name": None})),
        ([route("a", one, bytes=rb"^\x00\xff")], "a", {"bytes": b"\x00\xff\x01"}, ONE),
        ([route("a", one, bytes=rb"^\x00")], "a", {"text": "x"}, None),
        ([include([route("a", one, body="^x")], body=rb"^\xff")], "a", {"body": b"\xffx"}, ONE),
        ([include([route("a", one, body=b"^caf")], body=b"^x")], "a", {"body": b"xcaf"}, ONE),
        ([include([route("a", one, body="caf\xe9".encode())], body="^x")], "a", {"body": "xcaf\xe9".encode()}, ONE),
        # Elsewhere bytes are ASCII, in patterns too, which keep their flags.
        ([route("a", one, path=re.compile(b"^/X", re.IGNORECASE))], "a", {"path": "/x"}, ONE),
        ([route("a", one, path=re.compile(rb"^/\w$", re.ASCII))], "a", {"path": "/\xe9"}, None),
        # RT-11: the union of the named groups over the filters, the later winning; a group that took no part is None.
        (GROUPS, "a", {"path": "/den", "method": "GET"}, (one, {"room": "GET", "page": None})),
        # RT-24: a dict has one route without filters for each item; consumers may be dotted paths.
        (DICT, "a", {"path": "/any", "more": 1}, ONE),
        (DICT, "b", {}, (a_consumer, {})),
        (DICT, "c", {}, None),
    ],
)
def test_matching(routing: Any, channel: str, content: dict[str, Any], found: Any) -> None:
    """RT-03, RT-05, RT-07 to RT-11, RT-24, RT-29: the consumer and its keyword arguments, or None."""
    assert match(routing, content, channel) == found


def test_positional_groups_are_refused() -> None:
    """RT-06: a ``ValueError`` at construction that names the filter and the route; other groups are fine."""
    with pytest.raises(
        ValueError,
        match=r"the filter path='\^/\(\[a-z\]\+\)/\$' of a -> tests.unit.helpers.a_consumer has a group without a",
    ):
        Route("a", one, path="^/([a-z]+)/$")
    with pytest.raises(ValueError, match=r"write \(\?P<name>...\), or \(\?:...\)"):
        Route("a", one, path="^/(?P<named>[a-z]+)/([a-z]+)$")
    Route("a", one, path="^/(?:x|y)/(?P<named>[a-z]+)$")


@pytest.mark.parametrize("value", [None, 7, "caf\xe9".encode(), ["/x"], {"/x": 1}, 1.5])
def test_values_that_are_no_text_do_not_match(value: Any) -> None:
    """RT-10, OB-04, WK-28: clients choose such values; the next entry has the message, also behind an include."""
    routing = [include([route("a", one)], path="^"), route("a", one, path="^"), route("a", two)]
    assert match(routing, {"path": value}, "a") == (two, {})


def test_the_consumer_gets_the_message_itself(default_layer: SyncChannelLayer) -> None:
    """RT-12: the received object, with what an include cut off still on it."""
    seen: list[Message] = []

    def consumer(message: Message, room: str) -> None:
        seen.append(message)

    router = Router([include([route("a", consumer, path="^/(?P<room>.+)$")], path="^/chat")])
    dispatcher = Dispatcher(router)
    received = message({"path": "/chat/den"}, "a")
    invocation = dispatcher.match(received)
    assert invocation is not None
    dispatcher.call(invocation)
    assert seen == [received]
    assert seen[0]["path"] == "/chat/den"


def test_text_of_a_route() -> None:
    """RT-13: channels, filters if there are any, and the consumer; ``channel_names`` is a set."""
    assert str(Route(["a", "b"], one)) == "a/b -> tests.unit.helpers.a_consumer"
    assert str(Route("a", one, path="^/x$")) == "a(path='^/x$') -> tests.unit.helpers.a_consumer"
    assert Route(["a", "b", "a"], one).channel_names() == {"a", "b"}


def test_attributes_of_a_route() -> None:
    """RT-14: ``channels`` is a list, ``filters`` maps names to compiled patterns."""
    made = Route("a", one, path="^/x$")
    assert (made.channels, made.consumer) == (["a"], one)
    assert made.filters == {"path": re.compile("^/x$")}


# route_class


def test_route_class_asks_the_class() -> None:
    """RT-15: the channels are what ``channel_names()`` gave when the route was made."""
    made = RouteClass(ClassBased, path="^/x$")
    assert made.channel_names() == {"websocket.connect", "websocket.receive"}
    assert RouteClass(f"{__name__}.ClassBased").consumer is ClassBased


@pytest.mark.parametrize("consumer", [one, object(), type("NoNames", (), {}), type("Text", (), {"channel_names": "a"})])
def test_route_class_needs_channel_names(consumer: Any) -> None:
    """RT-15: a ``ValueError`` for what has no ``channel_names()``."""
    with pytest.raises(ValueError, match=r"route_class\(\) takes a class with a channel_names\(\) method, not"):
        RouteClass(consumer)


def test_route_class_matches_as_a_route() -> None:
    """RT-16: filters, keyword arguments and the base class are those of ``route``."""
    assert isinstance(RouteClass(ClassBased), Route)
    routing = [route_class(ClassBased, path="^/(?P<room>[a-z]+)$")]
    assert match(routing, {"path": "/den"}) == (ClassBased, {"room": "den"})
    assert match(routing, {"path": "/den"}, "websocket.disconnect") is None
    assert match(routing, {"path": "/7"}) is None


# Router


def test_channels_of_a_router() -> None:
    """RT-27, RT-35: the set of the names that the routing has, no others; ``root`` is an include without prefixes."""
    router = Router([route("a", one), include([route("b", two)])])
    assert router.channels == {"a", "b"}
    assert isinstance(router.root, Include)
    assert router.root.prefixes == {}


def test_add_route() -> None:
    """RT-28: it goes behind the others, and ``channels`` follows."""
    router = Router([route("a", one)])
    router.add_route(route(["a", "b"], two))
    assert router.channels == {"a", "b"}
    assert router.match(message({}, "a")) == (one, {})
    assert router.match(message({}, "b")) == (two, {})


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_router_leaves_the_users_list_alone(kind: Any) -> None:
    """RT-28, OB-28: additions and defaults touch no other router, nor the list; a tuple takes them too."""
    routing = kind([route("a", one)])
    router, other = Router(routing), Router(routing)
    router.add_route(route("b", two))
    router.check_default(one)
    assert len(routing) == 1
    assert other.channels == {"a"}
    assert Router(routing).channels == {"a"}


#: The user's own connect consumer for one path and request consumer for another, and the defaults of a project.
DEFAULTS = Router(
    [route("websocket.connect", one, path="^/mine$"), route("http.request", one, path="^/mine$")],
    defaults=default_routes(two),
)
DEFAULTS_ADDED = Router([route("websocket.connect", one, path="^/mine$")])
DEFAULTS_ADDED.check_default(one)
DEFAULTS_ADDED.check_default(two)
DEFAULTS_ADDED.check_default()  # as a server does, which leaves the consumer that a command of 1.x gave


@pytest.mark.parametrize(
    ("router", "channel", "content", "consumer"),
    [
        # RT-30: the consumer given answers ``http.request``, ours the events of sockets; what the user routed wins.
        (DEFAULTS_ADDED, "http.request", {}, two),
        (DEFAULTS_ADDED, "websocket.connect", {"path": "/mine"}, one),
        (DEFAULTS_ADDED, "websocket.connect", {"path": "/other"}, aconnect_consumer),
        (DEFAULTS_ADDED, "websocket.receive", {}, anull_consumer),
        (DEFAULTS_ADDED, "websocket.disconnect", {}, anull_consumer),
        # RT-33: a routed ``http.request`` consumer takes its paths, the default the others.
        (DEFAULTS, "http.request", {"path": "/mine"}, one),
        (DEFAULTS, "http.request", {"path": "/other"}, two),
    ],
)
def test_defaults(router: Router, channel: str, content: dict[str, Any], consumer: Any) -> None:
    """RT-30, RT-33: what no route of the user's takes is taken by a default consumer."""
    assert router.match(message(content, channel)) == (consumer, {})
    assert router.serves([channel], content) is (consumer in (one, two))


def test_defaults_are_added_on_request_only() -> None:
    """RT-31: a bare router has none, and nothing answers ``http.disconnect`` by default."""
    assert Router([]).channels == set()
    router = Router([])
    router.check_default()
    assert router.channels == {"websocket.connect", "websocket.receive", "websocket.disconnect"}
    assert Router([], defaults=default_routes(one)).match(message({}, "http.disconnect")) is None


def test_default_consumers(default_layer: SyncChannelLayer) -> None:
    """RT-32: ``connect_consumer`` accepts, ``null_consumer`` does nothing; both take any keyword arguments."""
    received = message({"reply_channel": "reply"})
    connect_consumer(received, room="x")
    null_consumer(received, room="x")
    assert drain(default_layer, "reply") == [{"accept": True}]
    connect_consumer(message({}))


def test_class_methods_of_the_router() -> None:
    """RT-34: ``resolve_routing`` and ``normalise_re_arg`` are reachable on the class."""
    assert Router.resolve_routing(f"{HERE}.a_routing") == a_routing
    (made,) = Router.resolve_routing({"a": another_consumer})
    assert (made.channel_names(), made.match(message({}, "a"))) == ({"a"}, (another_consumer, {}))
    assert Router.normalise_re_arg(b"^/x$") == "^/x$"
    assert Router.normalise_re_arg("^/x$") == "^/x$"


# What a router remembers


def test_a_remembered_answer_is_the_right_one() -> None:
    """RT-29: asking again for a path gives the same; routes added meanwhile are seen."""
    router = Router([route(["a", "b"], one, path="^/(?P<x>.)$")])
    for _ in range(2):
        assert router.match(message({"path": "/y"}, "a")) == (one, {"x": "y"})
        assert router.match(message({"path": "/z"}, "a")) == (one, {"x": "z"})
        assert router.match(message({"path": "/none"}, "a")) is None
        assert router.match(message({}, "a")) is None
    router.add_route(route("a", two, path="^/none$"))
    assert router.match(message({"path": "/none"}, "a")) == (two, {})


def test_a_consumer_may_change_its_keyword_arguments(default_layer: SyncChannelLayer) -> None:
    """WK-14: what a consumer does to its keyword arguments does not reach the next message."""
    seen: list[dict[str, str]] = []

    def consumer(message: Message, **kwargs: str) -> None:
        seen.append(dict(kwargs))
        kwargs["x"] = "changed"

    dispatcher = Dispatcher(Router([route("a", consumer, path="^/(?P<x>.)$")]))
    for _ in range(2):
        invocation = dispatcher.match(message({"path": "/y"}, "a"))
        assert invocation is not None
        dispatcher.call(invocation)
    assert seen == [{"x": "y"}, {"x": "y"}]


def found(router: Router, **content: Any) -> Any:
    """What is found for a message on ``a``, as a process looks for it: with what the router remembers."""
    matched = router.find(message(content, "a"))
    return None if matched is None else (matched.consumer, matched.kwargs)


def test_other_keys_are_not_remembered() -> None:
    """RT-08: filters on other keys are asked for each message, whatever its path."""
    router = Router([route("a", one, path="^/x$", command="^go$"), route("a", two)])
    assert found(router, path="/x", command="go") == ONE
    assert found(router, path="/x", command="stop") == TWO


def test_what_is_remembered_is_bounded() -> None:
    """RT-29: clients choose paths, so that a router forgets."""
    router = Router([route("a", one, path="^/(?P<x>.*)$")])
    for number in range(FOUND_PATHS + 10):
        assert found(router, path=f"/{number}") == (one, {"x": str(number)})
    assert len(router._found) == 10
    long = "x" * FOUND_LENGTH
    assert found(router, path=f"/{long}") == (one, {"x": long})
    assert len(router._found) == 10


@pytest.mark.parametrize("path", [["/x"], {"x": 1}, 5, None])
def test_a_path_that_is_none(path: Any) -> None:
    """RT-29: it matches no pattern, and what cannot be remembered is no error."""
    router = Router([route("a", one, path="^/x$"), route("a", two)])
    for _ in range(2):
        assert found(router, path=path) == TWO


# What a socket's path can reach


@pytest.mark.parametrize(
    ("path", "served"), [("/ws/chat/x/", True), ("/ws/7", False), ("/other", False), ("/custom", False)]
)
def test_serves(path: str, served: bool) -> None:
    """RT-32, OB-16: whether any route could take a socket's events, so that others are refused."""
    rooms = [route("websocket.receive", one, path="^/chat/(?P<room>[a-z]+)/$", text="^hello$")]
    router = Router([include(rooms, path="^/ws")], defaults=default_routes())
    sockets = ["websocket.connect", "websocket.receive", "websocket.disconnect"]
    assert router.serves(sockets, {"path": path}) is served


def test_serves_remembers_paths_only_where_they_decide() -> None:
    """As many as ``find`` does, and none where a route looks at something else, or is added."""
    router = Router([route("websocket.receive", one, path=r"^/x$")])
    for number in range(FOUND_PATHS + 10):
        assert not router.serves(["websocket.receive"], {"path": f"/{number}"})
    assert 0 < len(router._served) <= FOUND_PATHS
    router.add_route(route("websocket.receive", two, path=r"^/5$"))
    assert router.serves(["websocket.receive"], {"path": "/5"})
    router = Router([route("websocket.connect", one, path=r"^/x$", method="GET")])
    assert router.serves(["websocket.connect"], {"path": "/x", "method": "GET"})
    assert not router.serves(["websocket.connect"], {"path": "/x", "method": "POST"})
    assert router.serves(["websocket.connect"], {"path": "/x"})


def test_serves_believes_custom_routes() -> None:
    """RT-01: a route of the user's own making is believed on its channel names."""
    assert Router([include([CustomRoute()], path="^/x")]).serves(["custom"], {"path": "/x"})
    assert not Router([CustomRoute()]).serves(["websocket.connect"], {"path": "/x"})
