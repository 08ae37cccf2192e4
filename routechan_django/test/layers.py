"""Channel layers for tests: empty ones in memory, or those of ``TEST_CONFIG``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers

from .. import asgi, beside, conf
from ..layer import ChannelLayerWrapper


@contextmanager
def fresh_layers(aliases: Iterable[str]) -> Iterator[dict[str, ChannelLayerWrapper]]:
    """Empty in-memory layers under ``aliases`` inside a ``with`` block, with the routing of the settings (TC-02).

    The configured ones come back after it; they are neither made nor used meanwhile.
    """
    with _put({alias: _with_routing(alias, InMemoryChannelLayer()) for alias in aliases}) as layers:
        yield layers


@contextmanager
def live_layers() -> Iterator[dict[str, ChannelLayerWrapper]]:
    """For each alias a layer made from its ``TEST_CONFIG`` and flushed, or one in memory where it has none (TC-36)."""
    with ExitStack() as stack:
        made: dict[str, ChannelLayerWrapper] = {}
        for alias in conf.layer_aliases():
            configured = "TEST_CONFIG" in (conf.layer_config(alias) or {})
            layer = made[alias] = (
                asgi.channel_layers.make_test_backend(alias)
                if configured
                else _with_routing(alias, InMemoryChannelLayer())
            )
            stack.callback(layer.layer.close)
            if configured:
                _flush(layer)
        yield stack.enter_context(_put(made))


def _flush(layer: ChannelLayerWrapper) -> None:
    # On a thread, because Playwright keeps an event loop in that of the test, where a layer refuses to wait.
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
def _put(layers: dict[str, ChannelLayerWrapper]) -> Iterator[dict[str, ChannelLayerWrapper]]:
    with ExitStack() as stack:
        for alias, layer in layers.items():
            stack.enter_context(channel_layers.override(alias, layer))
            if conf.shares_with_channels(conf.layers()[alias]):
                stack.enter_context(beside.given_to_channels(alias, layer.layer))
        yield layers
