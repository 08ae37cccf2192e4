"""What the layers of this process hold and have counted, asked for when somebody wants to know."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from ..exceptions import ChannelLayerUnavailable
from ..layers.base import BaseChannelLayer
from ..layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers

#: Seconds to wait for the layers; the server of one may be gone, and who asks has not for ever.
PATIENCE = 2.0


class LayerFigures(NamedTuple):
    """``counts`` is its ``global_statistics``, ``channels`` the ``channel_statistics`` by name; empty unless ``up``."""

    alias: str
    up: bool
    counts: dict[str, Any]
    channels: dict[str, dict[str, Any]]


class Watched:
    """The layers this process serves or reads. Lifetime: process; there is one, ``watched``. Thread-safe."""

    def __init__(self) -> None:
        self._layers: list[tuple[BaseChannelLayer, tuple[str, ...]]] = []
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._answers: list[LayerFigures] = []

    def add(self, layer: BaseChannelLayer, channels: Iterable[str]) -> Callable[[], None]:
        """Tell of ``layer`` and of these of its channels, until what is returned is called."""
        entry = (layer, tuple(sorted(channels)))
        with self._lock:
            self._layers.append(entry)

        def forget() -> None:
            with self._lock, suppress(ValueError):
                self._layers.remove(entry)

        return forget

    def channels(self) -> dict[BaseChannelLayer, list[str]]:
        """Each layer once, with all its channels."""
        found: dict[BaseChannelLayer, list[str]] = {}
        with self._lock:
            for layer, channels in self._layers:
                known = found.setdefault(layer, [])
                known.extend(name for name in channels if name not in known)
        return found

    def figures(self) -> list[LayerFigures]:
        """Of each layer, asked now; those of one that gives no answer within ``PATIENCE`` seconds are not ``up``.

        A thread of its own asks, so that this may be called on an event loop too, which waits meanwhile.
        """
        layers = self.channels()
        if not layers:
            return []
        asking = self._ask(layers)
        asking.join(PATIENCE)
        answers = {answer.alias: answer for answer in self._answers} if not asking.is_alive() else {}
        names = aliases()
        return [
            answers.get(alias) or LayerFigures(alias, False, {}, {})
            for alias in dict.fromkeys(names.get(layer, DEFAULT_CHANNEL_LAYER) for layer in layers)
        ]

    def _ask(self, layers: dict[BaseChannelLayer, list[str]]) -> threading.Thread:
        """The thread that asks; one at a time, because a layer that is gone holds it for long."""
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
    """The names of the layers made so far."""
    return {face.layer: alias for alias, face in channel_layers.made().items() if hasattr(face, "layer")}


def _figures(alias: str, layer: BaseChannelLayer, channels: list[str]) -> LayerFigures:
    try:
        counts = layer.sync.global_statistics()
        return LayerFigures(alias, True, counts, {name: layer.sync.channel_statistics(name) for name in channels})
    except ChannelLayerUnavailable:
        return LayerFigures(alias, False, {}, {})


watched = Watched()
