"""Routing objects whose ``match`` a test replaces."""

from __future__ import annotations

import re
from typing import Any
from unittest import mock

import pytest

from routechan import include, route, route_class
from routechan.inspection import patchable
from routechan.routing import Include, Route, Router, anull_consumer

from .helpers import a_consumer, another_consumer, message


class TestReplacedMatch:
    """RT-01, RT-29: a ``match`` that a test replaces is called, wherever it is, and only as long as it is replaced."""

    received = message({"path": "/x"}, "a")

    @pytest.fixture
    def router(self) -> Router:
        inner = include([route("a", a_consumer, path="^/x")])
        router = Router([inner, route("b", another_consumer)])
        assert router.find(self.received)  # it is remembered
        return router

    def found(self, router: Router) -> Any:
        """What all ways to ask give, which agree."""
        matched = router.find(self.received)
        answers = [router.match(self.received), matched and matched[:2], router.takes(self.received)]
        assert answers[0] == answers[1]
        assert answers[2] == (answers[0] is not None)
        return answers[0]

    @pytest.mark.parametrize(
        "pick",
        [
            lambda router: router,
            lambda router: router.root,
            lambda router: router.root.routing[0],
            lambda router: router.root.routing[0].routing[0],
            lambda router: Router,
            lambda router: Include,
            lambda router: Route,
        ],
        ids=["router", "root", "an include", "a route", "Router", "Include", "Route"],
    )
    @pytest.mark.parametrize("tool", ["mock", "monkeypatch"])
    def test_is_called(self, router: Router, pick: Any, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the router, its root, what is inside, and of their classes; then the routing is as before."""
        target, replacement = pick(router), mock.Mock(return_value=(another_consumer, {"n": "1"}))
        if tool == "mock":
            with mock.patch.object(target, "match", replacement):
                assert self.found(router) == (another_consumer, {"n": "1"})
        else:
            with monkeypatch.context() as patch:
                patch.setattr(target, "match", replacement)
                assert self.found(router) == (another_consumer, {"n": "1"})
        assert self.received in [call.args[-1] for call in replacement.call_args_list]
        assert self.found(router) == (a_consumer, {})
        assert not patchable.replaced

    @pytest.mark.parametrize(
        ("pick", "name", "value", "found"),
        [
            (lambda router: router.root.routing[0].routing[0], "consumer", another_consumer, (another_consumer, {})),
            (lambda router: router.root.routing[0].routing[0], "filters", {"path": re.compile("^/y")}, None),
            (lambda router: router.root.routing[0].routing[0], "channels", ["c"], None),
            (lambda router: router.root.routing[0], "routing", [route("a", another_consumer)], (another_consumer, {})),
            (lambda router: router.root.routing[0], "prefixes", {"path": re.compile("^/y")}, None),
            (lambda router: router, "root", include([route("a", another_consumer)]), (another_consumer, {})),
        ],
    )
    def test_other_attributes(self, router: Router, pick: Any, name: str, value: Any, found: Any) -> None:
        """RT-14, RT-27: what decides a match may be replaced too: a consumer, filters, what is included, the root."""
        with mock.patch.object(pick(router), name, value):
            assert self.found(router) == found
            assert router.channels >= ({"c", "b"} if name == "channels" else {"a"})
        assert self.found(router) == (a_consumer, {})
        assert router.channels == {"a", "b"}

    def test_of_a_route_class(self) -> None:
        """RT-16: ``RouteClass`` has it from ``Route``, and may be given its own."""

        class Consumer:
            @classmethod
            def channel_names(cls) -> list[str]:
                return ["a"]

        router = Router([route_class(Consumer)])
        assert self.found(router) == (Consumer, {})
        with mock.patch("routechan.routing.RouteClass.match", return_value=None):
            assert self.found(router) is None
        assert self.found(router) == (Consumer, {})

    def test_that_takes_what_no_route_names(self) -> None:
        """A replaced root is asked for every channel; a server does not refuse the socket before."""
        router = Router([])
        router.check_default()
        assert not router.serves(["websocket.connect"], {"path": "/"})
        router.root.match = mock.Mock(return_value=(a_consumer, {}))
        assert self.found(router) == (a_consumer, {})
        assert router.serves(["websocket.connect"], {"path": "/"})
        router.root.match = mock.Mock(return_value=None)
        assert router.match(message({}, "websocket.receive")) == (anull_consumer, {})
        del router.root.match
        assert self.found(router) is None
        assert not router.serves(["websocket.connect"], {"path": "/"})
