"""Test runs: how a process is known to run tests, and the layers it has meanwhile.

A test must not reach the users of a live layer, whatever starts it. What decides is what this process is doing now,
which no server ever does. A setting, an argument or an environment variable could decide for a server too, and a
variable is inherited by the servers that tests start.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, RedisChannelLayer
from routechan.layers.recording import recorded

from . import conf
from .alias.old_layers import OldChannelLayer

if TYPE_CHECKING:
    from .layer import ChannelLayerWrapper

#: Messages that a channel holds in a test, where nobody reads it, unless the settings say how many.
CAPACITY = 10_000

#: The options that both layers have, and that a test sees.
_OPTIONS = (
    *("expiry", "group_expiry", "capacity", "channel_capacity"),
    *("channel_bytes", "max_size", "max_groups", "history"),
)

#: The modules of those that run tests; one of their functions is running while tests are.
_RUNNERS = {
    "_pytest.config",
    "_pytest.main",
    "_pytest.runner",
    "django.core.management.commands.test",
    "django.test.runner",
    "doctest",
    "unittest.case",
    "unittest.loader",
    "unittest.main",
    "unittest.suite",
}

#: The layers made from the settings, which are emptied before each test.
_watched: WeakSet[ChannelLayerWrapper | BaseChannelLayer] = WeakSet()


def in_test_run() -> bool:
    """Whether this process runs tests: it has Django's test environment, or one of its threads is in a test runner."""
    return _has_test_environment() or any(map(_is_runner, sys._current_frames().values()))


def backend_for_tests(alias: str, config: Mapping[str, Any]) -> conf.Backend | None:
    """What a test has in place of the layer that the settings describe; None where there is no test.

    Args:
        alias: The layer's alias.
        config: Its entry of ``CHANNEL_LAYERS``.

    Returns:
        A layer in memory, or the project's own kind of layer if that stays in its process.
    """
    if not in_test_run():
        return None
    backend = conf.backend_class(alias, config)
    if not backend.crosses_processes:
        if not issubclass(backend, InMemoryChannelLayer):
            return conf.make_backend(alias, config)
        made = conf.make_backend(alias, {**config, "CONFIG": {"linger": 0, **config.get("CONFIG", {})}})
        return recorded(cast("InMemoryChannelLayer", made))
    if issubclass(backend, (RedisChannelLayer, OldChannelLayer)):
        conf.make_backend(alias, config)  # refuses what is wrong in the options, and connects to nothing
    options = config.get("CONFIG", {})
    return layer_in_memory(**{name: options[name] for name in _OPTIONS if name in options})


def layer_in_memory(**options: Any) -> InMemoryChannelLayer:
    """A layer for tests, which keeps what was sent on it.

    Args:
        **options: Its options; by default a channel holds more than that of a real layer, because nobody reads it.
    """
    return recorded(InMemoryChannelLayer(**{"capacity": CAPACITY, "linger": 0, **options}))


def channels_backend_for_tests(alias: str) -> BaseChannelLayer | None:
    """What a test has in place of the layer that today's Channels would make for ``alias``.

    Returns:
        A layer in memory; None where there is no test, or the layer is none of ours.
    """
    try:
        config = conf.layer_config(alias) if in_test_run() else None
    except InvalidChannelLayerError:  # Channels refuses it too, or uses a layer of another make
        return None
    layer = backend_for_tests(alias, config) if config is not None and conf.shares_with_channels(config) else None
    if not isinstance(layer, BaseChannelLayer):
        return None
    watch(layer)
    return layer


def watch(layer: ChannelLayerWrapper | BaseChannelLayer) -> None:
    """Have ``layer`` emptied before each test from now on; one that was made before the test run is replaced."""
    _watched.add(layer)
    watch_unittest()


def watch_unittest(**kwargs: Any) -> list[Any]:
    """Call ``begin_test`` before each test of ``unittest``, as which all of Django's run.

    A system check too: Django's runner makes the checks before the first test.

    Args:
        **kwargs: What Django passes to a check; unused.

    Returns:
        The messages of the check, none.
    """
    case = sys.modules.get("unittest.case")
    if case is not None and not hasattr(case.TestCase.run, "routechan"):
        case.TestCase.run = _with_empty_layers(case.TestCase.run)
    return []


def begin_test() -> None:
    """Empty the layers that tests have in place of those of the settings."""
    for layer in list(_watched):
        if isinstance(layer, BaseChannelLayer):
            layer.sync.flush()
        elif layer.layer.crosses_processes:  # it was made and used before anybody could know
            layer.replace(layer_in_memory().sync)
        else:
            layer.layer.sync.flush()


def _with_empty_layers(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def run_with_empty_layers(*args: Any, **kwargs: Any) -> Any:
        begin_test()
        return run(*args, **kwargs)

    run_with_empty_layers.routechan = True  # type: ignore[attr-defined]
    return run_with_empty_layers


def _has_test_environment() -> bool:
    """Whether ``setup_test_environment`` was called, which keeps what it changes in this attribute."""
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data")


def _is_runner(frame: FrameType | None) -> bool:
    """Whether a test runner is at work in ``frame`` or in what called it."""
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module in _RUNNERS or (module == "django.core.management" and _is_test_command(frame)):
            return True
        frame = frame.f_back
    return False


def _is_test_command(frame: FrameType) -> bool:
    """Whether ``manage.py test`` was called: apps are set up, and use layers, before the command itself begins."""
    return frame.f_code.co_name == "execute" and frame.f_locals.get("subcommand") == "test"
