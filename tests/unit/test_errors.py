"""Every mistake in a routing list gives a text that says what came, what was expected and what to write."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import path, re_path

from routechan import Message, include, route, route_class
from routechan.exceptions import RoutingError
from routechan.routing import Router

from . import helpers
from .helpers import a_consumer, a_routing


class ClassBased:
    @classmethod
    def channel_names(cls) -> list[str]:
        return ["websocket.connect"]


class NamesNothing:
    @classmethod
    def channel_names(cls) -> list[str]:
        return []


def refused(text: str) -> Any:
    """The whole of ``text`` must be in the error, literally."""
    return pytest.raises(RoutingError, match=re.escape(text))


# The routing as a whole


@pytest.mark.parametrize("routing", [None, 42, a_consumer, route("a", a_consumer), (entry for entry in a_routing)])
def test_routing_that_is_no_list(routing: Any) -> None:
    """RT-17: what came, and what a routing is."""
    with refused(
        "a routing is a list of route(), route_class() and include() entries, a dict of channel: consumer, "
        f"or the dotted path of one, not {routing!r:.100}"
    ):
        Router(routing)


@pytest.mark.parametrize(
    ("routing", "text"),
    [
        (helpers, "; a module was given, name the list inside it: 'tests.unit.helpers.channel_routing'"),
        ("tests.unit.helpers", " in tests.unit.helpers; a module was given, name the list inside it"),
        ("tests.unit.helpers.no_routing", "or the dotted path of one, not 42 in tests.unit.helpers.no_routing"),
        (
            "channel_routing",
            "the routing 'channel_routing' has no dot; write the module and the name in it, such as "
            "'project.routing.channel_routing'",
        ),
        (
            "no_such_project.routing.x",
            "the routing 'no_such_project.routing.x' cannot be imported: No module named 'no_such_project'",
        ),
        ("tests.unit.helpers.a_ruting", "module 'tests.unit.helpers' has no 'a_ruting'; did you mean 'a_routing'?"),
    ],
    ids=["module", "path of a module", "path of an int", "no dot", "no module", "misspelt"],
)
def test_routing_by_path(routing: Any, text: str) -> None:
    """RT-25: modules and dotted paths; the text makes an example of what came, or suggests a name."""
    with refused(text) as caught:
        include(routing)
    assert isinstance(caught.value.__cause__, ImportError) == ("cannot be imported" in text)


def test_routing_path_of_an_unknown_name() -> None:
    """RT-25: nothing is suggested where nothing is similar."""
    with pytest.raises(RoutingError, match="has no 'xyzzy'$"):
        Router("tests.unit.helpers.xyzzy")


# Entries


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (("websocket.connect", a_consumer), "entry 1 of the routing is a tuple, ('websocket.connect'"),
        (("websocket.connect", a_consumer), "write route(channel, consumer), or include([...]) for a list"),
        (a_routing, "entry 1 of the routing is a list, [<routechan.routing.Route"),
        (path("chat/", a_consumer), 'write route("websocket.connect", consumer, path=r"^/...$"), whose pattern sees'),
        (re_path("^chat/", a_consumer), "entry 1 of the routing is a URL pattern of Django, <URLPattern"),
        (
            a_consumer,
            "entry 1 of the routing is tests.unit.helpers.a_consumer itself; write route(channel, a_consumer)",
        ),
        (
            ClassBased,
            "entry 1 of the routing is tests.unit.test_errors.ClassBased itself; write route(channel, ClassBased)",
        ),
        (None, "entry 1 of the routing is None; expected route(), route_class() or include()"),
        (3, "entry 1 of the routing is 3; expected route(), route_class() or include()"),
        (
            "websocket.connect",
            "entry 1 of the routing is 'websocket.connect'; expected route(), route_class() or include()",
        ),
    ],
)
def test_entry_that_is_no_route(entry: Any, text: str) -> None:
    """The position, what came, and what to write for it."""
    with refused(text):
        Router([route("a", a_consumer), entry])


def test_entry_of_an_included_routing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the list with the mistake is named."""
    monkeypatch.setattr(helpers, "bad_routing", [None], raising=False)
    with refused("entry 0 of the routing in tests.unit.helpers.bad_routing is None; expected route()"):
        Router([include("tests.unit.helpers.bad_routing")])


def test_add_route_checks_too() -> None:
    """RT-28: a route added later is checked as one in the list."""
    with refused("is tests.unit.helpers.a_consumer itself; write route(channel, a_consumer)"):
        Router([]).add_route(a_consumer)


# Channels


@pytest.mark.parametrize("channels", [None, 3, [], "", [""], [3], ["a", None], a_consumer])
def test_channels_that_are_none(channels: Any) -> None:
    """RT-03: what came, also with swapped arguments, what is expected, and the consumer to find the line by."""
    with refused(
        "route() takes a channel name such as 'websocket.receive', or a list of them, as its first argument, "
        f"not {channels!r} (its consumer is <function a_consumer"
    ):
        route(channels, a_consumer)


def test_channels_that_are_not_ascii() -> None:
    """RT-03: bytes outside ASCII name no channel."""
    with refused("not b'caf\\xc3\\xa9'"):
        route("caf\xe9".encode(), a_consumer)


@pytest.mark.parametrize(
    "channel", ["web socket", "caf\xe9", "x" * 100, "a/b"], ids=["space", "accent", "long", "slash"]
)
def test_channel_no_layer_can_carry(channel: str) -> None:
    """RT-03: a name outside the grammar could never be received; it is refused where it is written."""
    with pytest.raises(RoutingError, match="channel name"):
        route(channel, a_consumer)


def test_dict_keys_are_channels() -> None:
    """RT-24: a mistake in a dict routing has the text of a route."""
    with refused("route() takes a channel name such as 'websocket.receive'"):
        Router({3: a_consumer})


# Consumers


@pytest.mark.parametrize("consumer", [None, 3, [a_consumer], {}])
def test_consumer_that_cannot_be_called(consumer: Any) -> None:
    """RT-04: for example the result of a call, ``route("a", consumer())``."""
    with refused(
        f"the consumer of a/b is {consumer!r:.100}, which cannot be called; "
        "expected a function, a class or their dotted path"
    ):
        route(["a", "b"], consumer)


@pytest.mark.parametrize(
    ("consumer", "text"),
    [
        (helpers, "; a module was given, name the function inside it"),
        ("tests.unit.helpers", "; a module was given, name the function inside it"),
        ("ws_connect", "the consumer 'ws_connect' has no dot; write the module and the name in it, such as"),
        (
            "no_such_project.consumers.x",
            "the consumer 'no_such_project.consumers.x' cannot be imported: No module named 'no_such_project'",
        ),
        ("tests.unit.helpers.a_consumr", "module 'tests.unit.helpers' has no 'a_consumr'; did you mean 'a_consumer'?"),
    ],
    ids=["module", "path of a module", "no dot", "no module", "misspelt"],
)
def test_consumer_by_path(consumer: Any, text: str) -> None:
    """RT-04: modules and dotted paths, with the texts that a routing's path has."""
    with refused(text):
        route("a", consumer)


# Filters


@pytest.mark.parametrize("value", [3, None, ["^/x$"], True])
def test_filter_that_is_no_pattern(value: Any) -> None:
    """RT-05: the filter, what came, the route and what to write."""
    with refused(
        f"the filter path={value!r} of a -> tests.unit.helpers.a_consumer is no regular expression; write path=r'^...$'"
    ):
        route("a", a_consumer, path=value)


@pytest.mark.parametrize("pattern", ["^/(?P<room>[a-z]+$", "*", "(?P<1>x)"])
def test_filter_that_does_not_compile(pattern: str) -> None:
    """RT-05: the reason the expression is invalid is in the text."""
    with pytest.raises(
        RoutingError, match="of a -> tests.unit.helpers.a_consumer is no valid regular expression: .+"
    ) as caught:
        route("a", a_consumer, path=pattern)
    assert f"the filter path={pattern!r}" in str(caught.value)
    assert isinstance(caught.value.__cause__, re.error)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^/caf\xe9".encode(), "the filter path=b'^/caf\\xc3\\xa9' of a -> tests.unit.helpers.a_consumer"),
        (
            "^/([a-z]+)$",
            "the filter path='^/([a-z]+)$' of a -> tests.unit.helpers.a_consumer has a group without a name; "
            "a group becomes a keyword argument of the consumer, so write (?P<name>...), "
            "or (?:...) where it is only for grouping",
        ),
    ],
    ids=["not ASCII", "no name"],
)
def test_filter_that_is_no_use(pattern: Any, text: str) -> None:
    """RT-05, RT-06: bytes outside ASCII are no pattern; a group without a name has both ways to write it right."""
    with refused(text):
        route("a", a_consumer, path=pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (3, "the filter path=3 of include(2 routes) is no regular expression; write path=r'^...$'"),
        ("(", "the filter path='(' of include(2 routes) is no valid regular expression: missing )"),
    ],
)
def test_prefix_that_is_no_pattern(pattern: Any, text: str) -> None:
    """RT-18: the mistakes of filters, in an include."""
    with refused(text):
        include(a_routing, path=pattern)


# route_class


@pytest.mark.parametrize(
    ("consumer", "text"),
    [
        (a_consumer, "route_class() takes a class with a channel_names() method, not <function a_consumer"),
        ("tests.unit.helpers.a_consumer", "for a plain function write route(channel, function)"),
        (NamesNothing, "route() takes a channel name such as 'websocket.receive', or a list of them"),
        ("tests.unit.helpers.Missing", "the consumer 'tests.unit.helpers.Missing' cannot be imported"),
    ],
)
def test_route_class_of_something_else(consumer: Any, text: str) -> None:
    """RT-15: functions, classes that name no channels, and paths that lead nowhere."""
    with refused(text):
        route_class(consumer)


# A routing that is right


def test_a_correct_routing_is_taken() -> None:
    """A correct routing passes all checks."""
    router = Router(
        [
            route("websocket.connect", a_consumer, path=r"^/chat/(?P<room>[^/]+)/$"),
            route_class(ClassBased, path="^/class/$"),
            include(a_routing, path=b"^/inner"),
            include("tests.unit.helpers.a_dict_routing"),
        ]
    )
    assert router.match(Message({"path": "/class/"}, "websocket.connect", None)) == (ClassBased, {})
