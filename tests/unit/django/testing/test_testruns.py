"""Test runs: how they are known, and what became of layers that were made before them."""

from __future__ import annotations

import subprocess
import sys
import threading
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from routechan import Channel, Group, route
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import InMemoryChannelLayer, RedisChannelLayer, channel_layers
from routechan.routing import Router
from routechan_django import testruns
from routechan_django.asgi import channel_layers as manager
from routechan_django.asgi import get_asgi_application
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import apply_routes, sent, use_test_config
from tests.processes import ROOT, free_port

ROUTING = "tests.unit.django.routing.channel_routing"


def redis(**options: Any) -> dict[str, Any]:
    """An entry with a Redis that is not there."""
    config = {"hosts": [f"redis://127.0.0.1:{free_port()}"], **options}
    return {"BACKEND": "routechan.layers.RedisChannelLayer", "CONFIG": config, "ROUTING": ROUTING}


@pytest.fixture(autouse=True)
def configured(layer: ChannelLayerWrapper) -> None:
    """Each test begins with a layer that was made from the settings."""


class OwnMemory(InMemoryChannelLayer):
    """A project's own class."""


def test_it_is_known_everywhere_in_the_process() -> None:
    """In a thread too, whose own calls say nothing of tests."""
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(testruns.in_test_run()))
    thread.start()
    thread.join()
    assert (testruns.in_test_run(), found) == (True, [True])


SHELL = """
import doctest, unittest, pytest, django, django.test.runner, django.test.utils
django.setup()
from routechan_django.testruns import in_test_run
from django.core.management import call_command
assert not in_test_run()
unittest.TestCase().assertTrue(True)
call_command("check", verbosity=0)
assert not in_test_run()
example = doctest.DocTestParser().get_doctest(">>> in_test_run()\\nTrue\\n", {"in_test_run": in_test_run}, "x", None, 0)
assert doctest.DocTestRunner().run(example) == (0, 1)
assert not in_test_run()
django.test.utils.setup_test_environment()
assert in_test_run()
django.test.utils.teardown_test_environment()
assert not in_test_run()
"""


def test_what_is_no_test_run() -> None:
    """Imports, arguments and variables say nothing; Django's test environment does while it is there."""
    done = subprocess.run([sys.executable, "-c", SHELL, "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@override_settings(CHANNEL_LAYERS={"default": redis(capacity=7, expiry=5, channel_capacity={"x": 1})})
def test_the_options_a_test_sees_are_kept() -> None:
    """The layer in memory has the capacities and times of the settings."""
    layer = channel_layers["default"]
    assert isinstance(layer.layer, InMemoryChannelLayer)
    assert (layer.capacity, layer.expiry, layer.channel_capacity) == (7, 5, {"x": 1})


@override_settings(CHANNEL_LAYERS={"default": redis()})
def test_a_channel_that_nobody_reads_holds_much() -> None:
    """A test that makes a thousand rows sends a thousand messages."""
    for number in range(1000):
        Channel("thumbnail").send({"id": number})
    assert [content["id"] for content in sent.channel("thumbnail")] == list(range(1000))


@override_settings(CHANNEL_LAYERS={"default": redis(capacitty=7)})
def test_mistakes_in_the_settings_are_told() -> None:
    """As outside of tests, although the layer is not used."""
    with pytest.raises(InvalidChannelLayerError, match="did you mean 'capacity'"):
        channel_layers["default"]


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": OwnMemory, "CONFIG": {"capacity": 7}, "ROUTING": ROUTING}})
def test_a_class_of_the_project_that_stays_in_its_process() -> None:
    """It is used as it is, and what was sent on it can be seen."""
    layer = channel_layers["default"]
    assert type(layer.layer) is OwnMemory
    assert layer.capacity == 7
    Channel("x").send({"a": 1})
    assert sent.channel("x") == [{"a": 1}]


class OwnShared(InMemoryChannelLayer):
    """A project's own class, over a file."""

    crosses_processes = True

    def __init__(self, path: str, capacity: int = 100) -> None:
        raise AssertionError("the file is opened")


@override_settings(
    CHANNEL_LAYERS={"default": {"BACKEND": OwnShared, "CONFIG": {"path": "x", "capacity": 7}, "ROUTING": ROUTING}}
)
def test_a_class_of_the_project_that_crosses_processes() -> None:
    """It is not made: nobody knows what making it does."""
    assert type(channel_layers["default"].layer) is InMemoryChannelLayer
    assert channel_layers["default"].capacity == 7


@override_settings(CHANNEL_LAYERS={"default": redis()})
def test_a_layer_made_by_hand() -> None:
    """``make_backend`` is no way around."""
    assert manager.make_backend("default").local_only()


@override_settings(CHANNEL_LAYERS={"default": {**redis(), "TEST_CONFIG": {"hosts": ["redis://127.0.0.1:1"]}}})
def test_the_layer_of_test_config_is_asked_for() -> None:
    """``make_test_backend`` makes a real one."""
    assert isinstance(manager.make_test_backend("default").layer, RedisChannelLayer)


@pytest.mark.parametrize(
    ("config", "test_config", "prefix"),
    [
        ({"hosts": ["redis://h"]}, {"hosts": ["redis://h"]}, "routechan-tests"),
        ({}, {}, "routechan-tests"),
        ({"hosts": ["redis://h"], "prefix": "site"}, {"hosts": ["redis://h"], "prefix": "site"}, "site-tests"),
        ({"hosts": ["redis://h"]}, {"hosts": ["redis://h"], "prefix": "site"}, "site"),
        ({"hosts": ["redis://h/0"]}, {"hosts": ["redis://h/1"]}, "routechan"),
    ],
)
def test_a_test_config_at_the_place_of_the_live_layer(
    config: dict[str, Any], test_config: dict[str, Any], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is flushed before each test, so it gets another prefix; one with a place of its own stays as it is."""
    made: list[str] = []
    init: Callable[..., None] = RedisChannelLayer.__init__

    def spy(self: RedisChannelLayer, *args: Any, **options: Any) -> None:
        made.append(options.get("prefix", "routechan"))
        init(self, *args, **options)

    monkeypatch.setattr(RedisChannelLayer, "__init__", spy)
    monkeypatch.setattr(ChannelLayerWrapper, "flush", lambda self: None)
    layers = {"default": {**redis(), "CONFIG": config, "TEST_CONFIG": test_config}}
    with override_settings(CHANNEL_LAYERS=layers):
        made.clear()
        with use_test_config():
            assert made == [prefix]


def test_layers_made_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script uses its layer, then runs tests: from the first test on, whoever holds the layer has one in memory."""

    class Sending(unittest.TestCase):
        def runTest(self) -> None:
            assert sent.all() == []
            group.add("x")
            group.send({"a": 1})
            assert sent.group("early") == [{"a": 1}]

    with override_settings(CHANNEL_LAYERS={"default": redis()}):
        channel_layers.set("default", None)
        with monkeypatch.context() as patched:
            patched.setattr(testruns, "in_test_run", lambda: False)
            group = Group("early")
            application = get_asgi_application()
        live = channel_layers["default"]
        assert isinstance(live.layer, RedisChannelLayer)
        for _ in range(2):
            result = unittest.TestSuite([Sending()]).run(unittest.TestResult())
            assert result.wasSuccessful(), result.errors + result.failures
        assert channel_layers["default"] is live
        assert isinstance(live.layer, InMemoryChannelLayer)
        assert application is not None


def test_groups_made_at_import_follow_the_settings(layer: ChannelLayerWrapper) -> None:
    """While settings are overridden, and afterwards: they send where the test looks."""
    group = Group("early")
    changed = {"default": {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": []}}
    with override_settings(CHANNEL_LAYERS=changed):
        group.send({"n": 1})
        assert sent.group("early") == [{"n": 1}]
        assert channel_layers["default"].router.channels == set()  # type: ignore[attr-defined]
    group.send({"n": 2})
    assert sent.group("early") == [{"n": 2}]
    assert "thumbnail" in channel_layers["default"].router.channels  # type: ignore[attr-defined]


def test_routes_that_a_test_has_applied_stay() -> None:
    """Other settings do not take them back; leaving the block does."""
    with apply_routes(route("applied", len)), override_settings(ROUTECHAN={"THREADS": 2}):
        assert channel_layers["default"].router.channels == {"applied"}  # type: ignore[attr-defined]
    assert "thumbnail" in channel_layers["default"].router.channels  # type: ignore[attr-defined]


def test_a_router_set_by_hand_is_gone_with_the_settings() -> None:
    """A test that does not put the old one back leaves it to no other test."""
    channel_layers["default"].router = Router([])  # type: ignore[attr-defined]
    with override_settings(ROUTECHAN={"THREADS": 2}):
        assert "thumbnail" in channel_layers["default"].router.channels  # type: ignore[attr-defined]
    assert "thumbnail" in channel_layers["default"].router.channels  # type: ignore[attr-defined]


def test_sends_are_kept_as_they_were() -> None:
    """What is sent is seen as a reader gets it, and what is refused was not sent."""
    content = {"a": [1]}
    Channel("x").send(content)
    content["a"].append(2)
    with pytest.raises(TypeError):
        Channel("x").send({"a": object()})
    assert sent.channel("x") == [{"a": [1]}]


def test_a_layer_that_keeps_nothing() -> None:
    """Is named, with what to do."""
    with (
        channel_layers.override("default", InMemoryChannelLayer().sync),
        pytest.raises(TypeError, match="the layer 'default' is an InMemoryChannelLayer, which keeps no record"),
    ):
        sent.all()
