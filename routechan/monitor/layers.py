"""The layers this process uses, and the statistics of each, fetched on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from ..exceptions import ChannelLayerUnavailable
from ..layers.base import BaseChannelLayer
from ..layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers

#: Seconds to wait for the statistics of all layers. A layer's server may be down, and a scrape has a time limit too.
STATISTICS_TIMEOUT = 2.0


class LayerFigures(NamedTuple):
    """The statistics of one layer.

    Args:
        alias: The layer's name in the configuration.
        up: Whether the layer answered in time.
        counts: Its ``global_statistics``; empty unless ``up``.
        channels: Its ``channel_statistics``, by channel name; empty unless ``up``.
    """

    alias: str
    up: bool
    counts: dict[str, Any]
    channels: dict[str, dict[str, Any]]


class LayersInUse:
    """The layers this process uses, each with the channels that are read from it.

    Lifetime: process; there is one instance, ``layers_in_use``. Thread-safe.
    """

    def __init__(self) -> None:
        self._layers: list[tuple[BaseChannelLayer, tuple[str, ...]]] = []
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._answers: list[LayerFigures] = []

    def add(self, layer: BaseChannelLayer, channels: Iterable[str]) -> Callable[[], None]:
        """Include a layer in the statistics.

        Args:
            layer: The layer that is used from now on.
            channels: Names of the channels that are read from it, or sent to, and whose statistics are of interest.

        Returns:
            A function that removes this entry again.
        """
        entry = (layer, tuple(sorted(channels)))
        with self._lock:
            self._layers.append(entry)

        def remove() -> None:
            with self._lock, suppress(ValueError):
                self._layers.remove(entry)

        return remove

    def channels(self) -> dict[BaseChannelLayer, list[str]]:
        """The channel names of each layer; a layer that was added several times has the names of all its entries."""
        found: dict[BaseChannelLayer, list[str]] = {}
        with self._lock:
            for layer, channels in self._layers:
                known = found.setdefault(layer, [])
                known.extend(name for name in channels if name not in known)
        return found

    def figures(self) -> list[LayerFigures]:
        """The statistics of every layer in use, fetched now.

        Blocks for up to ``STATISTICS_TIMEOUT`` seconds; layers that have not answered by then are not ``up``. A thread
        of its own makes the blocking calls, so this works in a thread that runs an event loop too.
        """
        layers = self.channels()
        if not layers:
            return []
        asking = self._ask(layers)
        asking.join(STATISTICS_TIMEOUT)
        answers = {answer.alias: answer for answer in self._answers} if not asking.is_alive() else {}
        names = aliases()
        return [
            answers.get(alias) or LayerFigures(alias, False, {}, {})
            for alias in dict.fromkeys(names.get(layer, DEFAULT_CHANNEL_LAYER) for layer in layers)
        ]

    def _ask(self, layers: dict[BaseChannelLayer, list[str]]) -> threading.Thread:
        """The thread that fetches the statistics; at most one runs, because a layer that is down blocks it for long."""
        names = aliases()

        def ask() -> None:
            self._answers = [
                _figures(names.get(layer, DEFAULT_CHANNEL_LAYER), layer, channels) for layer, channels in layers.items()
            ]

        with self._lock:
            if self._asking is None or not self._asking.is_alive():
                self._asking = threading.Thread(target=ask, name="routechan-figures", daemon=True)
                self._asking.start()
            return self._asking


def aliases() -> dict[BaseChannelLayer, str]:
    """The configured name of each layer that has been built so far."""
    return {face.layer: alias for alias, face in channel_layers.made().items() if hasattr(face, "layer")}


def _figures(alias: str, layer: BaseChannelLayer, channels: list[str]) -> LayerFigures:
    try:
        counts = layer.sync.global_statistics()
        return LayerFigures(alias, True, counts, {name: layer.sync.channel_statistics(name) for name in channels})
    except ChannelLayerUnavailable:
        return LayerFigures(alias, False, {}, {})


layers_in_use = LayersInUse()
