"""Test cases with channel layers of their own, ``apply_routes``, and the layers of ``TEST_CONFIG``."""

from __future__ import annotations

import unittest
from typing import Any, ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.test import SimpleTestCase, override_settings

from routechan import Channel, Message, include, route
from routechan.concurrency import refuse_on_loop
from routechan.exceptions import RoutingError, UnknownChannelLayer
from routechan.layers import InMemoryChannelLayer, channel_layers
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import ChannelTestCase, Client, TransactionChannelTestCase, apply_routes
from routechan_django.test.base import ChannelTestCaseMixin
from routechan_django.test.layers import fresh_layers, use_test_config

ROUTING = "tests.unit.django.routing.channel_routing"
BACKEND = "routechan.layers.InMemoryChannelLayer"
TWO_LAYERS = {
    "default": {"BACKEND": BACKEND, "ROUTING": ROUTING, "TEST_CONFIG": {"expiry": 100500}},
    "other": {"BACKEND": BACKEND, "ROUTING": []},
}


def one(message: Message) -> None:
    message.reply_channel.send({"text": "one"})


def two(message: Message) -> None:
    message.reply_channel.send({"text": "two"})


def run(case: type[unittest.TestCase], method: str = "runTest") -> unittest.TestResult:
    """Run one test of a class that is not collected."""
    return unittest.TestSuite([case(method)]).run(unittest.TestResult())


class LayerTests(ChannelTestCase):
    seen: ClassVar[list[Any]] = []

    def setUp(self) -> None:  # without super().setUp(), on purpose
        self.in_set_up = channel_layers["default"]

    def _look(self) -> None:
        layer = channel_layers["default"]
        assert isinstance(layer, ChannelLayerWrapper)
        assert layer is self.in_set_up
        assert layer not in self.seen
        assert self.get_next_message("left.over") is None
        Channel("left.over").send({"a": 1})
        self.seen.append(layer)

    def test_one(self) -> None:
        """TC-01, TC-02: a layer in memory, with the alias and the routing of the settings, there before ``setUp``."""
        self._look()
        layer: Any = channel_layers["default"]
        assert layer.alias == "default"
        assert layer.routing == ROUTING
        assert "thumbnail" in layer.router.channels
        assert isinstance(layer.layer, InMemoryChannelLayer)
        assert (layer.capacity, layer.expiry, layer.group_expiry) == (100, 60, 86400)

    def test_two(self) -> None:
        """TC-02: what one test has left on its layer, no other sees."""
        self._look()

    async def test_three(self) -> None:
        """TC-02: so it is for async tests."""
        self._look()

    def test_get_next_message(self) -> None:
        """TC-05, TC-06: what test code sends is there at once; a message that is required fails the test."""
        assert self.get_next_message("x") is None
        content = {"a": [1]}
        Channel("x").send(content)
        content["a"].append(2)
        message = self.get_next_message("x", require=True)
        assert message.content == {"a": [1]}
        assert message.channel_layer is channel_layers["default"]
        with pytest.raises(AssertionError, match="no message is waiting on 'x'"):
            self.get_next_message("x", require=True)


class TransactionTests(TransactionChannelTestCase):
    def test_it_has_layers_and_a_database(self) -> None:
        """TC-01: over ``TransactionTestCase``."""
        get_user_model().objects.create(username="x")
        Client().send_and_consume("websocket.receive", {"path": "/async/", "text": "hi"})


class SimpleTests(ChannelTestCaseMixin, SimpleTestCase):
    def test_without_a_database(self) -> None:
        """TC-01: the mixin works with every test case of Django."""
        client = Client()
        client.send_and_consume("websocket.receive", {"path": "/async/", "text": "hi"})
        assert client.receive() == {"text": "hi"}


def test_the_old_layer_comes_back(layer: ChannelLayerWrapper) -> None:
    """TC-02, TC-03: after the test, failed or not, the layer from before is in place; it was not used meanwhile."""

    class Failing(ChannelTestCase):
        def runTest(self) -> None:
            Channel("x").send({})
            raise LookupError("on purpose")

    result = run(Failing)
    assert "on purpose" in result.errors[0][1]
    assert channel_layers["default"] is layer
    assert layer.receive(["x"]) == (None, None)


def test_layers_last_until_cleanups_have_run(layer: ChannelLayerWrapper) -> None:
    """TC-02: ``tearDown`` and cleanups of a test still have its layer."""
    seen: list[Any] = []

    class Cleaning(ChannelTestCase):
        def setUp(self) -> None:
            self.addCleanup(lambda: seen.append(channel_layers["default"]))

        def tearDown(self) -> None:
            seen.append(channel_layers["default"])

        def runTest(self) -> None:
            seen.append(channel_layers["default"])

    assert run(Cleaning).wasSuccessful()
    assert len(seen) == 3
    assert len(set(map(id, seen))) == 1
    assert seen[0] is not layer


def test_skipped_tests_are_skipped() -> None:
    """A test that is skipped is, whatever its layers."""

    class Skipped(ChannelTestCase):
        test_channel_aliases = ("unknown",)

        @unittest.skip("on purpose")
        def runTest(self) -> None: ...

    assert len(run(Skipped).skipped) == 1


@override_settings(CHANNEL_LAYERS=TWO_LAYERS)
def test_the_aliases_that_are_swapped() -> None:
    """TC-01: ``test_channel_aliases`` says which; others stay."""
    other = channel_layers["other"]

    class Other(ChannelTestCase):
        test_channel_aliases = ("other",)

        def runTest(self) -> None:
            assert channel_layers["other"] is not other
            Channel("x", alias="other").send({"a": 1})
            assert self.get_next_message("x") is None
            assert self.get_next_message("x", alias="other")["a"] == 1

    result = run(Other)
    assert result.wasSuccessful(), result
    assert channel_layers["other"] is other


def test_an_unknown_alias_is_an_error_of_the_test() -> None:
    """An alias that is not configured fails the test and names the ones there are; the run goes on."""

    class Unknown(ChannelTestCase):
        test_channel_aliases = ("default", "unknown")

        def runTest(self) -> None: ...

    before = channel_layers["default"]
    result = run(Unknown)
    assert "CHANNEL_LAYERS has no alias 'unknown' to test with; it has default" in result.errors[0][1]
    assert channel_layers["default"] is before


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": BACKEND, "ROUTING": {"x": one}, "CONFIG": {"capacity": 1}}})
def test_any_routing_is_taken_and_no_configured_layer_made() -> None:
    """TC-03: a dict as ROUTING works too; the configured layer is not made, so that no Redis is needed for a test."""
    with fresh_layers(["default"]) as layers:
        assert layers["default"].router.channels == {"x"}
        assert layers["default"].capacity == 100


# apply_routes


class ApplyRoutesTests(ChannelTestCase):
    def _answer(self, client: Client | None = None) -> Any:
        client = client or Client()
        client.send_and_consume("test")
        return client.receive()["text"]

    def test_as_context_manager(self) -> None:
        """TC-31, TC-32: routing and router are replaced, and restored after an exception too, which passes through."""
        layer: Any = channel_layers["default"]
        before = layer.routing, layer.router
        with apply_routes([route("test", one)]):
            assert self._answer() == "one"
            with apply_routes(route("test", two)):
                assert self._answer() == "two"
            assert self._answer() == "one"
        with pytest.raises(LookupError), apply_routes(route("test", one)):
            raise LookupError
        assert (layer.routing, layer.router) == before

    @apply_routes([route("test", one)])
    def test_as_decorator(self) -> None:
        """TC-31: on a function."""
        assert self._answer() == "one"

    @apply_routes((route("test", one),))
    async def test_as_decorator_of_async_def(self) -> None:
        """TC-31: on an async function, until it has ended."""
        client = Client()
        await client.asend_and_consume("test")
        assert (await client.areceive())["text"] == "one"

    def test_lists_within(self) -> None:
        """TC-32: a list in the list becomes an ``include``; routes and includes may stand beside it."""
        routes = [[route("a", one)], [route("test", two)], include([route("b", one)]), route("c", one)]
        with apply_routes(routes):
            assert self._answer() == "two"
            assert channel_layers["default"].router.channels == {"a", "b", "c", "test"}  # type: ignore[attr-defined]

    def test_what_routing_may_be(self) -> None:
        """TC-32, OB-29: a dict, a dotted path and an empty list are taken as well."""
        with apply_routes({"test": two}):
            assert self._answer() == "two"
        with apply_routes(ROUTING):
            assert Client().get_consumer_by_channel("thumbnail") is not None
        with apply_routes([]):
            assert Client().get_consumer_by_channel("thumbnail") is None

    def test_mistakes_change_nothing(self) -> None:
        """What is no routing, and an alias that is not there, are refused before anything is replaced."""
        layer: Any = channel_layers["default"]
        before = layer.router
        with pytest.raises(RoutingError), apply_routes([one]):
            pass
        with pytest.raises(UnknownChannelLayer), apply_routes(route("test", one), aliases=["default", "unknown"]):
            pass
        assert layer.router is before


@override_settings(CHANNEL_LAYERS=TWO_LAYERS)
class AliasesTests(ChannelTestCase):
    test_channel_aliases = ("default", "other")

    def test_the_aliases_given_are_those_changed(self) -> None:
        """TC-33, OB-29: routes are applied to the layers that are named, one or several."""
        first, other = Client(), Client(alias="other")
        with apply_routes(route("test", one), aliases="other"):
            assert other.get_consumer_by_channel("test") is one
            assert first.get_consumer_by_channel("test") is None
        with apply_routes(route("test", two), aliases=["default", "other"]):
            assert other.get_consumer_by_channel("test") is two
            assert first.get_consumer_by_channel("test") is two
        assert other.get_consumer_by_channel("test") is None


def test_as_class_decorator(layer: ChannelLayerWrapper) -> None:
    """TC-34: the same class, with routes from before its ``setUp`` until before its ``tearDown``."""
    seen: list[Any] = []

    class Case(ChannelTestCase):
        def _look(self, where: str) -> None:
            seen.append((where, Client().get_consumer_by_channel("test")))

        def setUp(self) -> None:
            self._look("setUp")

        def tearDown(self) -> None:
            self._look("tearDown")

        def runTest(self) -> None:
            self._look("test")

    assert apply_routes([route("test", one)])(Case) is Case
    for _ in range(2):
        assert run(Case).wasSuccessful()
    assert seen == [("setUp", one), ("test", one), ("tearDown", None)] * 2


def test_a_class_whose_set_up_fails(layer: ChannelLayerWrapper) -> None:
    """TC-34: the routes are taken back where ``tearDown`` is not called."""

    @apply_routes([route("test", one)])
    class Case(unittest.TestCase):
        def setUp(self) -> None:
            raise LookupError("on purpose")

        def runTest(self) -> None: ...

    before = layer.router
    assert len(run(Case).errors) == 1
    assert layer.router is before


def test_a_class_that_is_no_test_case() -> None:
    """TC-34: a class without ``setUp`` is refused with what to do."""
    with pytest.raises(TypeError, match="needs its setUp and tearDown, which Plain has not"):

        @apply_routes([])
        class Plain:
            pass


# TEST_CONFIG


@override_settings(CHANNEL_LAYERS=TWO_LAYERS)
def test_layers_for_a_live_server() -> None:
    """TC-36, LD-32: all layers, from TEST_CONFIG where there is one and in memory where not, routed as configured."""
    with use_test_config() as layers:
        assert set(layers) == {"default", "other"}
        assert layers["default"].expiry == 100500
        assert isinstance(layers["other"].layer, InMemoryChannelLayer)
        assert channel_layers["other"] is layers["other"]
    assert channel_layers["default"] is not layers["default"]


@override_settings(CHANNEL_LAYERS=TWO_LAYERS)
def test_a_layer_for_a_live_server_that_cannot_be_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """TC-36: it is closed all the same, for what it holds open is a connection."""
    closed = []
    monkeypatch.setattr(ChannelLayerWrapper, "flush", lambda self: 1 / 0)
    monkeypatch.setattr(InMemoryChannelLayer, "close", lambda self: closed.append(self.expiry))  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError), use_test_config():
        pass
    assert closed == [100500]


@override_settings(CHANNEL_LAYERS=TWO_LAYERS)
async def test_layers_for_a_live_server_beside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """TC-36: a layer from TEST_CONFIG is flushed, also where the thread of the test has an event loop (Playwright)."""
    flushed = []

    def flush(self: ChannelLayerWrapper) -> None:
        refuse_on_loop("flush", "await layer.flush()")
        flushed.append(self.alias)

    monkeypatch.setattr(ChannelLayerWrapper, "flush", flush)
    with use_test_config():
        assert flushed == ["default"]
