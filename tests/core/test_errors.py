"""Every mistake in a routing list gives a text that says what came, what was expected and what to write."""

from __future__ import annotations

import re
from typing import Any

import pytest

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


def test_module_in_place_of_the_list() -> None:
    """apps.md row 5: a module is given; the text names the list to write."""
    with refused("; a module was given, name the list inside it: 'tests.core.helpers.channel_routing'"):
        include(helpers)
    with refused(" in tests.core.helpers; a module was given, name the list inside it"):
        Router("tests.core.helpers")


def test_path_of_something_else() -> None:
    """RT-25: the path is named when what it leads to is no routing."""
    with refused("or the dotted path of one, not 42 in tests.core.helpers.no_routing"):
        Router("tests.core.helpers.no_routing")


def test_path_without_a_dot() -> None:
    """RT-25: an example is made of what came."""
    with refused(
        "the routing 'channel_routing' has no dot; write the module and the name in it, such as "
        "'project.routing.channel_routing'"
    ):
        Router("channel_routing")


def test_path_of_no_module() -> None:
    """RT-25: the cause is in the text and in the chain."""
    with refused(
        "the routing 'no_such_project.routing.x' cannot be imported: No module named 'no_such_project'"
    ) as caught:
        Router("no_such_project.routing.x")
    assert isinstance(caught.value.__cause__, ImportError)


def test_path_of_no_name() -> None:
    """RT-25: a name that is nearly right is suggested."""
    with refused("module 'tests.core.helpers' has no 'a_ruting'; did you mean 'a_routing'?"):
        Router("tests.core.helpers.a_ruting")
    with pytest.raises(RoutingError, match="has no 'xyzzy'$"):
        Router("tests.core.helpers.xyzzy")


# Entries


def test_tuple_as_an_entry() -> None:
    """A pair is not a route."""
    with refused("entry 1 of the routing is a tuple, ('websocket.connect'"):
        Router([route("a", a_consumer), ("websocket.connect", a_consumer)])
    with refused("write route(channel, consumer), or include([...]) for a list"):
        Router([("websocket.connect", a_consumer)])


def test_list_as_an_entry() -> None:
    """A list within the list is written with ``include``."""
    with refused("entry 0 of the routing is a list, [<routechan.routing.Route"):
        Router([a_routing])


def test_url_pattern_as_an_entry() -> None:
    """Django's ``path()`` is no route: the text shows a route with a pattern."""
    urls = pytest.importorskip("django.urls")
    with refused('write route("websocket.connect", consumer, path=r"^/...$"), whose pattern sees the leading slash'):
        Router([urls.path("chat/", a_consumer)])
    with refused("entry 0 of the routing is a URL pattern of Django, <URLPattern"):
        Router([urls.re_path("^chat/", a_consumer)])


def test_consumer_as_an_entry() -> None:
    """A bare function is shown inside the ``route`` it needs."""
    with refused("entry 0 of the routing is tests.core.helpers.a_consumer itself; write route(channel, a_consumer)"):
        Router([a_consumer])


def test_class_as_an_entry() -> None:
    """A class is no route either, though it may have the methods of one."""
    with refused(
        "entry 0 of the routing is tests.core.test_errors.ClassBased itself; write route(channel, ClassBased)"
    ):
        Router([ClassBased])


@pytest.mark.parametrize("entry", [None, 3, "websocket.connect"])
def test_anything_else_as_an_entry(entry: Any) -> None:
    """The position and what came are named."""
    with refused(f"entry 0 of the routing is {entry!r}; expected route(), route_class() or include()"):
        Router([entry])


def test_entry_of_an_included_routing() -> None:
    """The path of the list with the mistake is named."""
    helpers.bad_routing = [None]  # type: ignore[attr-defined]
    try:
        with refused("entry 0 of the routing in tests.core.helpers.bad_routing is None; expected route()"):
            Router([include("tests.core.helpers.bad_routing")])
    finally:
        del helpers.bad_routing  # type: ignore[attr-defined]


def test_add_route_checks_too() -> None:
    """RT-28: a route added later is checked as one in the list."""
    with refused("is tests.core.helpers.a_consumer itself; write route(channel, a_consumer)"):
        Router([]).add_route(a_consumer)  # type: ignore[arg-type]


# Channels


@pytest.mark.parametrize("channels", [None, 3, [], "", [""], [3], ["a", None]])
def test_channels_that_are_none(channels: Any) -> None:
    """RT-03: what came, what is expected, and the consumer to find the line by."""
    with refused(
        "route() takes a channel name such as 'websocket.receive', or a list of them, as its first argument, "
        f"not {channels!r} (its consumer is <function a_consumer"
    ):
        route(channels, a_consumer)


def test_swapped_arguments() -> None:
    """RT-03: the consumer first, the channel second."""
    with refused("as its first argument, not <function a_consumer"):
        route(a_consumer, "websocket.receive")


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


def test_module_as_a_consumer() -> None:
    """RT-04: apps.md row 5, a module in place of what is in it."""
    with refused("; a module was given, name the function inside it"):
        route("a", helpers)
    with refused("; a module was given, name the function inside it"):
        route("a", "tests.core.helpers")


def test_consumer_path_without_a_dot() -> None:
    """RT-04: an example is made of what came."""
    with refused("the consumer 'ws_connect' has no dot; write the module and the name in it, such as"):
        route("a", "ws_connect")


def test_consumer_path_of_no_module() -> None:
    """RT-04: the cause is in the text."""
    with refused("the consumer 'no_such_project.consumers.x' cannot be imported: No module named 'no_such_project'"):
        route("a", "no_such_project.consumers.x")


def test_consumer_path_of_no_name() -> None:
    """RT-04: a name that is nearly right is suggested."""
    with refused("module 'tests.core.helpers' has no 'a_consumr'; did you mean 'a_consumer'?"):
        route("a", "tests.core.helpers.a_consumr")


# Filters


@pytest.mark.parametrize("value", [3, None, ["^/x$"], True])
def test_filter_that_is_no_pattern(value: Any) -> None:
    """RT-05: the filter, what came, the route and what to write."""
    with refused(
        f"the filter path={value!r} of a -> tests.core.helpers.a_consumer is no regular expression; write path=r'^...$'"
    ):
        route("a", a_consumer, path=value)


@pytest.mark.parametrize("pattern", ["^/(?P<room>[a-z]+$", "*", "(?P<1>x)"])
def test_filter_that_does_not_compile(pattern: str) -> None:
    """RT-05: the reason the expression is invalid is in the text."""
    with pytest.raises(
        RoutingError, match="of a -> tests.core.helpers.a_consumer is no valid regular expression: .+"
    ) as caught:
        route("a", a_consumer, path=pattern)
    assert f"the filter path={pattern!r}" in str(caught.value)
    assert isinstance(caught.value.__cause__, re.error)


def test_filter_that_is_not_ascii() -> None:
    """RT-05: bytes outside ASCII are no pattern."""
    with refused("the filter path=b'^/caf\\xc3\\xa9' of a -> tests.core.helpers.a_consumer"):
        route("a", a_consumer, path="^/caf\xe9".encode())


def test_filter_with_a_group_without_a_name() -> None:
    """RT-06: both ways to write it right."""
    with refused(
        "the filter path='^/([a-z]+)$' of a -> tests.core.helpers.a_consumer has a group without a name; "
        "a group becomes a keyword argument of the consumer, so write (?P<name>...), "
        "or (?:...) where it is only for grouping"
    ):
        route("a", a_consumer, path="^/([a-z]+)$")


def test_prefix_that_is_no_pattern() -> None:
    """RT-18: the mistakes of filters, in an include."""
    with refused("the filter path=3 of include(2 routes) is no regular expression; write path=r'^...$'"):
        include(a_routing, path=3)
    with refused("the filter path='(' of include(2 routes) is no valid regular expression: missing )"):
        include(a_routing, path="(")


# route_class


def test_route_class_of_a_function() -> None:
    """RT-15: a plain function is written with ``route``."""
    with refused("route_class() takes a class with a channel_names() method, not <function a_consumer"):
        route_class(a_consumer)
    with refused("for a plain function write route(channel, function)"):
        route_class("tests.core.helpers.a_consumer")


def test_route_class_of_a_class_without_channels() -> None:
    """RT-15: a class that names no channels could never be called."""
    with refused("route() takes a channel name such as 'websocket.receive', or a list of them"):
        route_class(NamesNothing)


def test_route_class_path_that_cannot_be_imported() -> None:
    """RT-15: as the consumer of a ``route``."""
    with refused("the consumer 'tests.core.helpers.Missing' cannot be imported"):
        route_class("tests.core.helpers.Missing")


# A routing that is right


def test_a_correct_routing_is_taken() -> None:
    """None of the checks refuses what works."""
    router = Router(
        [
            route("websocket.connect", a_consumer, path=r"^/chat/(?P<room>[^/]+)/$"),
            route_class(ClassBased, path="^/class/$"),
            include(a_routing, path=b"^/inner"),
            include("tests.core.helpers.a_dict_routing"),
        ]
    )
    assert router.match(Message({"path": "/class/"}, "websocket.connect", None)) == (ClassBased, {})
