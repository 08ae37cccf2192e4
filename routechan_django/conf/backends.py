"""From ``BACKEND`` and ``CONFIG`` of an entry of ``CHANNEL_LAYERS`` to the layer they describe."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from django.utils.module_loading import import_string

from routechan.exceptions import InvalidChannelLayerError
from routechan.inspection import raised_at
from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, RedisChannelLayer
from routechan.layers.redis.hosts import GONE
from routechan.upgrade.renames import MEMORY, OLD_BACKENDS, OLD_SENTINEL_BACKENDS, REDIS

from ..alias.old_layers import OLD_CLASSES, OldChannelLayer, with_sentinels
from .spelling import OPTIONS, did_you_mean, names_in

__all__ = ["MEMORY", "OLD_BACKENDS", "OLD_SENTINEL_BACKENDS", "REDIS", "Backend", "backend_class", "make_backend"]

#: What BACKEND may name: a layer, or a subclass of a layer class of 1.x. Both have a ``sync`` face.
Backend = BaseChannelLayer | OldChannelLayer


def _options(layer: type[Backend]) -> list[str]:
    """The names of the options of ``layer``, but those for tests."""
    parameters = inspect.signature(layer).parameters.values()
    return [each.name for each in parameters if each.kind is not each.VAR_KEYWORD and each.name != "clock"]


names_in[OPTIONS] = lambda: [*_options(RedisChannelLayer), *_options(InMemoryChannelLayer)]


def backend_class(alias: str, config: Mapping[str, Any]) -> type[Backend]:
    """The class that ``BACKEND`` names, or our class of ``OLD_BACKENDS`` where that cannot be imported.

    Args:
        alias: The layer's alias, for errors.
        config: Its entry of ``CHANNEL_LAYERS``, with ``BACKEND`` as a dotted path or a class.

    Raises:
        InvalidChannelLayerError: ``BACKEND`` cannot be imported, or is no channel layer.
    """
    where = f"CHANNEL_LAYERS[{alias!r}]['BACKEND']"
    backend = config["BACKEND"]
    try:
        found = _import_backend(backend) if isinstance(backend, str) else backend
    except ImportError as error:
        raise InvalidChannelLayerError(
            f"{where} is {backend!r}, which cannot be imported: {error}{raised_at(error)}. "
            f"This version has {MEMORY} (one process) and {REDIS} (any number)"
        ) from error
    if isinstance(found, type) and issubclass(found, (BaseChannelLayer, OldChannelLayer)):
        return found
    if isinstance(backend, str) and backend in OLD_BACKENDS:
        raise InvalidChannelLayerError(
            f"{where} is {backend!r}, which is installed here and is no channel layer of routechan; "
            f"write {OLD_BACKENDS[backend]!r}"
        )
    raise InvalidChannelLayerError(
        f"{where} is {backend!r}, which is no channel layer; expected a class such as {MEMORY}"
    )


def make_backend(alias: str, config: Mapping[str, Any], key: str = "CONFIG") -> Backend:
    """The layer itself, made from its options (LM-07).

    Args:
        alias: The layer's alias, for errors.
        config: Its entry of ``CHANNEL_LAYERS``.
        key: Where the options are: ``CONFIG`` or ``TEST_CONFIG``.

    Raises:
        InvalidChannelLayerError: An option is unknown or is refused. The text never holds an option's value, which may
            be a password.
    """
    where = f"CHANNEL_LAYERS[{alias!r}][{key!r}]"
    options = config.get(key, {})
    if not isinstance(options, Mapping):
        raise InvalidChannelLayerError(
            f"{where} is a dict of the backend's options, not of type {type(options).__name__}"
        )
    found, backend = backend_class(alias, config), config["BACKEND"]
    if isinstance(backend, str) and backend in OLD_BACKENDS:
        where += f", read by {OLD_BACKENDS[backend]} instead of {backend},"
    if backend in OLD_SENTINEL_BACKENDS:
        options = with_sentinels(where, options)
    _refuse_unknown_options(where, found, options)
    try:
        return found(**options)
    except (TypeError, InvalidChannelLayerError) as error:
        raise InvalidChannelLayerError(f"{where} was refused: {error}") from error


def _import_backend(path: str) -> Any:
    if path not in OLD_BACKENDS:
        return import_string(path)
    try:
        found = import_string(path)
    except ImportError:
        found = None
    # The classes that install() provides are there to be subclassed; used as they are, ours do the same.
    return found if found is not None and found not in OLD_CLASSES else import_string(OLD_BACKENDS[path])


def _refuse_unknown_options(where: str, layer: type[Backend], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(layer).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if takes_any and layer.__init__ is not RedisChannelLayer.__init__:
        return
    known = _options(layer)
    for name in options:
        if name in parameters or (takes_any and name in GONE):  # of an older layer: ours says why it can go
            continue
        hint = did_you_mean(name, known, OPTIONS)
        if not hint and layer is InMemoryChannelLayer and str(name).lower() in _options(RedisChannelLayer):
            hint = f" (it is an option of {REDIS})"
        if hint or not takes_any:  # else the layer refuses it, and may know what it was in another one
            raise InvalidChannelLayerError(
                f"{where} has the option {name!r}, which {layer.__name__} does not know{hint}; "
                f"it has {', '.join(known)}"
            )
