"""Channel layers for tests: empty ones in memory, or those of ``TEST_CONFIG``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, RedisChannelLayer, channel_layers
from routechan.layers.recording import recorded

from .. import asgi, channels4, conf
from ..alias.old_layers import OldChannelLayer
from ..commits import tests_transactions_ignored
from ..layer import ChannelLayerWrapper


@contextmanager
def fresh_layers(aliases: Iterable[str]) -> Iterator[dict[str, ChannelLayerWrapper]]:
    """A ``with`` block in which empty in-memory layers replace the configured ones, with their routing (TC-02).

    The configured layers are neither made nor used in the block. Bindings tell of changes although the transaction of a
    ``TestCase`` never commits.

    Args:
        aliases: The aliases to replace.

    Yields:
        Alias -> layer.
    """
    fresh = {alias: _with_routing(alias, recorded(InMemoryChannelLayer(linger=0))) for alias in aliases}
    with _override(fresh) as layers, tests_transactions_ignored():
        yield layers


@contextmanager
def use_test_config() -> Iterator[dict[str, ChannelLayerWrapper]]:
    """A ``with`` block in which every alias has a flushed layer made from its ``TEST_CONFIG`` (TC-36).

    An alias without a ``TEST_CONFIG`` has a layer in memory. Where ``TEST_CONFIG`` has the hosts and the prefix of
    ``CONFIG``, the layer has another prefix, so that nothing live is reached or flushed.

    Yields:
        Alias -> layer.
    """
    with ExitStack() as stack:
        made: dict[str, ChannelLayerWrapper] = {}
        for alias in conf.layer_aliases():
            config = conf.layer_config(alias) or {}
            configured = "TEST_CONFIG" in config
            layer = made[alias] = (
                asgi.with_routing(alias, config, conf.make_backend(alias, _apart(alias, config), "TEST_CONFIG"))
                if configured
                else _with_routing(alias, recorded(InMemoryChannelLayer(linger=0)))
            )
            stack.callback(layer.layer.close)
            if configured:
                _flush(layer)
        yield stack.enter_context(_override(made))


def _apart(alias: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """``config`` with another prefix where its ``TEST_CONFIG`` names the place of the live layer: it is flushed."""
    live, tests = config.get("CONFIG", {}), config["TEST_CONFIG"]
    backend = conf.backend_class(alias, config)
    if not backend.crosses_processes or not issubclass(backend, (RedisChannelLayer, OldChannelLayer)):
        return config
    if any(live.get(option) != tests.get(option) for option in ("hosts", "prefix")):
        return config
    return {**config, "TEST_CONFIG": {**tests, "prefix": f"{tests.get('prefix', 'routechan')}-tests"}}


def _flush(layer: ChannelLayerWrapper) -> None:
    # On a thread: Playwright runs an event loop in the thread of the test, where a layer refuses to wait.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(layer.flush).result()


def _with_routing(alias: str, layer: BaseChannelLayer) -> ChannelLayerWrapper:
    config = conf.layer_config(alias)
    if config is None:
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS has no alias {alias!r} to test with; it has {', '.join(conf.layer_aliases()) or 'none'}"
        )
    return asgi.with_routing(alias, config, layer)


@contextmanager
def _override(layers: dict[str, ChannelLayerWrapper]) -> Iterator[dict[str, ChannelLayerWrapper]]:
    with ExitStack() as stack:
        for alias, layer in layers.items():
            stack.enter_context(channel_layers.override(alias, layer))
            if conf.shares_with_channels(conf.layers()[alias]):
                stack.enter_context(channels4.override_channels_layer(alias, layer.layer))
        yield layers
