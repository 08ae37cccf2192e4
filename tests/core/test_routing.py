"""``route``, ``route_class``, ``include`` and the ``Router``."""

from __future__ import annotations

import re
from typing import Any

import pytest

import routechan
from routechan import Message, include, route, route_class
from routechan.dispatch import Dispatcher
from routechan.exceptions import RoutingError
from routechan.layers import SyncChannelLayer
from routechan.routing import (
    KNOWN_PATHS,
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

from .helpers import a_consumer, a_dict_routing, a_routing, another_consumer, drain, message

HERE = "tests.core.helpers"


def one(message: Message, **kwargs: Any) -> None: ...


def two(message: Message, **kwargs: Any) -> None: ...


class ClassBased:
    """As a class-based consumer of 1.x: it knows its channels."""

    def __init__(self, message: Message, **kwargs: Any) -> None: ...

    @classmethod
    def channel_names(cls) -> set[str]:
        return {"websocket.connect", "websocket.receive"}


class CustomRoute:
    """A route object of the user's own making."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[Message] = []

    def match(self, message: Message) -> Any:
        self.asked.append(message)
        return self.answer

    def channel_names(self) -> set[str]:
        return {"custom"}


def match(routing: Any, content: dict[str, Any], channel: str = "websocket.receive") -> Any:
    return Router(routing).match(message(content, channel))


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


def test_several_channels() -> None:
    """RT-03: a route takes messages on each of its channels."""
    routing = [route(["a", b"b"], one)]
    assert match(routing, {}, "a") == match(routing, {}, "b") == (one, {})
    assert match(routing, {}, "ab") is None


def test_consumer_by_dotted_path() -> None:
    """RT-04: imported when the route is made."""
    assert Route("a", f"{HERE}.a_consumer").consumer is a_consumer


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{HERE}.nothing_here", "cannot be imported: module 'tests.core.helpers' has no 'nothing_here'"),
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


def test_a_compiled_filter_keeps_its_flags() -> None:
    """RT-05: a compiled pattern is used as it is."""
    assert match([route("a", one, path=re.compile("^/x$", re.IGNORECASE))], {"path": "/X"}, "a") == (one, {})


def test_positional_groups_are_refused() -> None:
    """RT-06: a ``ValueError`` at construction that names the filter and the route; other groups are fine."""
    with pytest.raises(
        ValueError,
        match=r"the filter path='\^/\(\[a-z\]\+\)/\$' of a -> tests.core.test_routing.one has a group without a",
    ):
        Route("a", one, path="^/([a-z]+)/$")
    with pytest.raises(ValueError, match=r"write \(\?P<name>...\), or \(\?:...\)"):
        Route("a", one, path="^/(?P<named>[a-z]+)/([a-z]+)$")
    Route("a", one, path="^/(?:x|y)/(?P<named>[a-z]+)$")


def test_filters_of_any_name_must_all_match() -> None:
    """RT-07: filter names are content keys of any kind; RT-08: each must be there and match."""
    routing = [route("a", one, method="^POST$", command="^(?P<what>.+)$"), route("a", two)]
    assert match(routing, {"method": "POST", "command": "go"}, "a") == (one, {"what": "go"})
    assert match(routing, {"method": "GET", "command": "go"}, "a") == (two, {})
    assert match(routing, {"method": "POST"}, "a") == (two, {})


def test_filters_fall_through() -> None:
    """RT-08: a missing key or another value lets the next entry have the message."""
    routing = [route("a", one, path="^/x$"), route("a", two, path="^/y$")]
    assert match(routing, {"path": "/x"}, "a") == (one, {})
    assert match(routing, {"path": "/y"}, "a") == (two, {})
    assert match(routing, {"path": "/z"}, "a") is None
    assert match(routing, {}, "a") is None
    assert match(routing, {"path": "/x"}, "b") is None


def test_matching_is_anchored_at_the_start_only() -> None:
    """RT-09: as ``re.match``, with or without ``^``."""
    for pattern in ("^/x", "/x"):
        assert match([route("a", one, path=pattern)], {"path": "/x/and/more"}, "a") == (one, {})
        assert match([route("a", one, path=pattern)], {"path": "/y/x"}, "a") is None


def test_bytes_values_are_ascii() -> None:
    """RT-10: a bytes value is decoded before it is matched, and so are its groups."""
    assert match([route("a", one, path="^/(?P<room>.+)$")], {"path": b"/x"}, "a") == (one, {"room": "x"})


@pytest.mark.parametrize("value", [None, 7, "caf\xe9".encode(), ["/x"], {"/x": 1}, 1.5])
def test_values_that_are_no_text_do_not_match(value: Any) -> None:
    """RT-10, OB-04, WK-28: clients choose such values; the next entry has the message, also behind an include."""
    routing = [include([route("a", one)], path="^"), route("a", one, path="^"), route("a", two)]
    assert match(routing, {"path": value}, "a") == (two, {})


def test_keyword_arguments_are_the_named_groups() -> None:
    """RT-11: the union over the filters, the later winning; a group that took no part is None."""
    routing = [route("a", one, path="^/(?P<room>[a-z]+)(?P<page>/[0-9]+)?$", method="^(?P<room>[A-Z]+)$")]
    assert match(routing, {"path": "/den", "method": "GET"}, "a") == (one, {"room": "GET", "page": None})


def test_the_consumer_gets_the_message_itself(default_layer: SyncChannelLayer) -> None:
    """RT-12: the received object, with what an include cut off still on it."""
    seen: list[Message] = []

    def consumer(message: Message, room: str) -> None:
        seen.append(message)

    router = Router([include([route("a", consumer, path="^/(?P<room>.+)$")], path="^/chat")])
    dispatcher = Dispatcher(router)
    received = message({"path": "/chat/den"}, "a")
    run = dispatcher.match(received)
    assert run is not None
    dispatcher.call(run)
    assert seen == [received]
    assert seen[0]["path"] == "/chat/den"


def test_text_of_a_route() -> None:
    """RT-13: channels, filters if there are any, and the consumer; ``channel_names`` is a set."""
    assert str(Route(["a", "b"], one)) == "a/b -> tests.core.test_routing.one"
    assert str(Route("a", one, path="^/x$")) == "a(path='^/x$') -> tests.core.test_routing.one"
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


# include


@pytest.mark.parametrize(
    "routing", [a_routing, tuple(a_routing), a_dict_routing, f"{HERE}.a_routing", f"{HERE}.a_dict_routing"]
)
def test_what_can_be_included(routing: Any) -> None:
    """RT-17: a list, a tuple, a dict, or the dotted path of one."""
    assert match([include(routing)], {}, "websocket.connect") == (a_consumer, {})


def test_include_groups_and_filters() -> None:
    """RT-18: without prefixes it only groups; with them each key must be there and match."""
    inner = [route("a", one)]
    assert match([include(inner)], {}, "a") == (one, {})
    routing = [include(inner, path="^/x", method="^POST$"), route("a", two)]
    assert match(routing, {"path": "/x", "method": "POST"}, "a") == (one, {})
    assert match(routing, {"path": "/x", "method": "GET"}, "a") == (two, {})
    assert match(routing, {"path": "/x"}, "a") == (two, {})


@pytest.mark.parametrize("caret", ["^", ""])
def test_include_cuts_off_what_it_matched(caret: str) -> None:
    """RT-19: the rest is a fresh string for what is inside, level by level."""
    rooms = [route("a", one, path=rf"{caret}/chat/(?P<room>[^/]+)/$")]
    routing = [include(rooms, path=r"^/ws/v(?P<version>[0-9]+)")]
    assert match(routing, {"path": "/ws/v2/chat/django/"}, "a") == (one, {"version": "2", "room": "django"})
    assert match(routing, {"path": "/chat/django/"}, "a") is None
    deeper = [include([include(rooms, path="^/v2")], path="^/ws")]
    assert match(deeper, {"path": "/ws/v2/chat/django/"}, "a") == (one, {"room": "django"})


def test_include_does_not_touch_the_message() -> None:
    """RT-19: entries after an include that did not match see the whole value."""
    routing = [
        include([route("a", one, path="^/never$")], path="^/ws"),
        route("a", two, path="^/ws/x$"),
    ]
    received = message({"path": "/ws/x"}, "a")
    assert Router(routing).match(received) == (two, {})
    assert received.content == {"path": "/ws/x"}


def test_the_inner_keyword_wins() -> None:
    """RT-20: on a clash of names, at every level."""
    inner = [route("a", one, path="^/(?P<name>[a-z]+)")]
    middle = [include(inner, path="^/(?P<name>[a-z]+)")]
    routing = [include(middle, path="^/(?P<name>[a-z]+)(?P<only>[0-9])")]
    assert match(routing, {"path": "/x1/y/z"}, "a") == (one, {"name": "z", "only": "1"})
    assert match([include([route("a", two)], path="^/(?P<name>[a-z]+)")], {"path": "/x"}, "a") == (two, {"name": "x"})


def test_bytes_and_text_mix() -> None:
    """RT-21: patterns of bytes match text, patterns of text match bytes; the rest inside is text."""
    custom = CustomRoute((one, {}))
    assert match([include([custom], path=b"^/ws")], {"path": "/ws/x"}, "custom") == (one, {})
    assert match([include([custom], path="^/ws")], {"path": b"/ws/x"}, "custom") == (one, {})
    assert [asked["path"] for asked in custom.asked] == ["/x", "/x"]


def test_prefixes_may_have_positional_groups() -> None:
    """RT-22: they are ignored."""
    assert match([include([route("a", one)], path="^/(x|y)")], {"path": "/y"}, "a") == (one, {})


def test_nothing_is_deep_copied() -> None:
    """RT-23, OB-33: matching copies no content; a custom route sees the received message, its attributes too."""

    class Uncopyable:
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("copied")

    custom = CustomRoute((one, {}))
    value = Uncopyable()
    received = message({"path": "/ws/x", "value": value}, "custom")
    received.user = "ann"
    assert Router([custom]).match(received) == (one, {})
    assert custom.asked[0] is received
    assert Router([include([custom], path="^/ws")]).match(received) == (one, {})
    assert custom.asked[1]["value"] is value


def test_dict_routing() -> None:
    """RT-24: one route without filters for each item; consumers may be dotted paths."""
    routing = {"websocket.connect": one, "websocket.receive": f"{HERE}.a_consumer"}
    assert match(routing, {"path": "/any", "more": 1}, "websocket.connect") == (one, {})
    assert match(routing, {}, "websocket.receive") == (a_consumer, {})
    assert match(routing, {}, "websocket.disconnect") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("no.such.module.routing", "the routing 'no.such.module.routing' cannot be imported: No module named 'no'"),
        (f"{HERE}.nothing", f"the routing '{HERE}.nothing' cannot be imported: module '{HERE}' has no 'nothing'"),
        ("routing", "the routing 'routing' has no dot"),
    ],
)
def test_routing_that_cannot_be_imported(path: str, text: str) -> None:
    """RT-25: a ``ValueError`` that names the string and the cause."""
    with pytest.raises(ValueError, match=text):
        include(path)
    with pytest.raises(RoutingError, match=text):
        Router(path)


def test_channel_names_of_an_include() -> None:
    """RT-26: the union over its entries."""
    assert include([route("a", one), include([route(["b", "c"], two)], path="^/x")]).channel_names() == {"a", "b", "c"}
    assert include([]).channel_names() == set()


def test_text_of_an_include() -> None:
    """RT-13: an include is shown too, in texts about its mistakes."""
    assert str(include([route("a", one)], path="^/x")) == "include(1 routes, path='^/x')"


# Router


def test_channels_of_a_router() -> None:
    """RT-27: the set of all names, under ``root`` an include without prefixes."""
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


def test_match_of_a_router() -> None:
    """RT-29: the pair, or None."""
    router = Router([route("a", one, path="^/(?P<x>.)$")])
    assert router.match(message({"path": "/y"}, "a")) == (one, {"x": "y"})
    assert router.match(message({"path": "/yy"}, "a")) is None
    assert router.match(message({"path": "/y"}, "b")) is None


def test_check_default() -> None:
    """RT-30: the consumer given answers ``http.request``, ours the events of sockets; what the user routed wins."""
    router = Router([route("websocket.connect", one, path="^/mine$")])
    router.check_default(two)
    assert router.match(message({}, "http.request")) == (two, {})
    assert router.match(message({"path": "/mine"}, "websocket.connect")) == (one, {})
    assert router.match(message({"path": "/other"}, "websocket.connect")) == (aconnect_consumer, {})
    assert router.match(message({}, "websocket.receive")) == (anull_consumer, {})
    assert router.match(message({}, "websocket.disconnect")) == (anull_consumer, {})


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


def test_unmatched_requests_fall_through_to_the_default() -> None:
    """RT-33: a routed ``http.request`` consumer takes its paths, the default the others."""
    router = Router([route("http.request", one, path="^/mine$")], defaults=default_routes(two))
    assert router.match(message({"path": "/mine"}, "http.request")) == (one, {})
    assert router.match(message({"path": "/other"}, "http.request")) == (two, {})


def test_class_methods_of_the_router() -> None:
    """RT-34: ``resolve_routing`` and ``normalise_re_arg`` are reachable on the class."""
    assert Router.resolve_routing(f"{HERE}.a_routing") == a_routing
    (made,) = Router.resolve_routing({"a": another_consumer})
    assert (made.channel_names(), made.match(message({}, "a"))) == ({"a"}, (another_consumer, {}))
    assert Router.normalise_re_arg(b"^/x$") == "^/x$"
    assert Router.normalise_re_arg("^/x$") == "^/x$"


def test_unnamed_channels_are_not_listened_to() -> None:
    """RT-35: ``channels`` holds what the routing names, nothing else."""
    assert "elsewhere" not in Router([route("a", one)]).channels


def test_a_message_no_route_takes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """RT-36, WK-11: an error that names the channel; the message is lost."""
    dispatcher = Dispatcher(Router([route("a", one, path="^/x$")]))
    assert dispatcher.match(message({"path": "/y"}, "a")) is None
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "No route takes a message on a; it is dropped")


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
        run = dispatcher.match(message({"path": "/y"}, "a"))
        assert run is not None
        dispatcher.call(run)
    assert seen == [{"x": "y"}, {"x": "y"}]


def test_other_keys_are_not_remembered() -> None:
    """RT-08: filters on other keys are asked for each message, whatever its path."""
    router = Router([route("a", one, path="^/x$", command="^go$"), route("a", two)])
    assert router.match(message({"path": "/x", "command": "go"}, "a")) == (one, {})
    assert router.match(message({"path": "/x", "command": "stop"}, "a")) == (two, {})
    custom = Router([CustomRoute((one, {}))])
    assert custom.match(message({"path": "/x"}, "custom")) == (one, {})


def test_what_is_remembered_is_bounded() -> None:
    """RT-29: clients choose paths, so that a router forgets."""
    router = Router([route("a", one, path="^/(?P<x>.*)$")])
    for number in range(KNOWN_PATHS + 10):
        assert router.match(message({"path": f"/{number}"}, "a")) == (one, {"x": str(number)})
    assert len(router._known) <= KNOWN_PATHS


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


def test_serves_believes_custom_routes() -> None:
    """RT-01: a route of the user's own making is believed on its channel names."""
    assert Router([include([CustomRoute()], path="^/x")]).serves(["custom"], {"path": "/x"})
    assert not Router([CustomRoute()]).serves(["websocket.connect"], {"path": "/x"})


def test_a_route_that_raises_costs_its_message_only(caplog: pytest.LogCaptureFixture) -> None:
    """WK-28: an error while matching is logged, and the message dropped."""

    class Broken(CustomRoute):
        def match(self, message: Message) -> Any:
            raise RuntimeError("broken route")

    dispatcher = Dispatcher(Router([Broken()]))
    assert dispatcher.match(message({}, "custom")) is None
    assert "Routing a message on custom failed; it is dropped" in caplog.text
    assert "broken route" in caplog.text
