"""Layers in memory whose messages reach nobody: in this process nothing serves sockets or runs consumers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakKeyDictionary

from ..layers.base import BaseChannelLayer
from ..telemetry.log_fields import log_fields

logger = logging.getLogger("routechan")

#: Layers that nothing has served so far, and of which nothing was said -> whether to be silent now. Lifetime: process.
unserved: WeakKeyDictionary[BaseChannelLayer, Callable[[], bool]] = WeakKeyDictionary()


def watch(layer: BaseChannelLayer, silent: Callable[[], bool]) -> None:
    """Say it once if something is sent on ``layer``, which lives in this process, and nothing serves it.

    Args:
        layer: the layer.
        silent: whether nothing is to be said at the moment, as in tests.
    """
    if not layer.crosses_processes:
        unserved[layer] = silent


def serve(layer: BaseChannelLayer) -> None:
    """An application or a worker of this process serves ``layer``."""
    unserved.pop(layer, None)


def warn(layer: object, name: str, place: str | None) -> None:
    """Warn of a send to the channel or group ``name`` on ``layer``, if nothing serves that.

    Args:
        layer: the layer.
        name: where it was sent.
        place: the line of user code that sent it, if that is known.
    """
    if not isinstance(layer, BaseChannelLayer) or layer not in unserved or unserved[layer]():
        return
    del unserved[layer]
    logger.warning(
        "A message to %s%s reaches nobody: %s is in memory, and this process runs no application and no worker. To "
        "send to servers and workers, which are other processes, use routechan.layers.RedisChannelLayer",
        name,
        "" if place is None else f", sent at {place},",
        type(layer).__name__,
        extra=log_fields(name),
    )
