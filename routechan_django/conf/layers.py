"""The entries of ``CHANNEL_LAYERS``, and the routing that belongs to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import DEFAULT_CHANNEL_LAYER

from .. import channels4
from .backends import MEMORY, OLD_BACKENDS, backend_class
from .spelling import ENTRY, did_you_mean, names_in

INLINE, WORKERS = "inline", "workers"

ROUTING = "ROUTING"
LAYER_KEYS = ("BACKEND", "CONFIG", "ROUTING", "CONSUMERS", "TEST_CONFIG")

names_in[ENTRY] = lambda: LAYER_KEYS


def layers() -> Mapping[str, Any]:
    """The setting ``CHANNEL_LAYERS``; empty where it is not set (ST-01).

    Raises:
        InvalidChannelLayerError: It is not a dict, or holds what belongs into an entry.
    """
    setting = getattr(settings, "CHANNEL_LAYERS", None) or {}
    if not isinstance(setting, Mapping):
        raise InvalidChannelLayerError(f"CHANNEL_LAYERS is a dict of alias: config, not {setting!r:.100}")
    for alias, config in setting.items():
        if str(alias).upper() in LAYER_KEYS and not (isinstance(config, Mapping) and "BACKEND" in config):
            raise InvalidChannelLayerError(
                f"CHANNEL_LAYERS has {alias!r} where the alias of a layer is expected; write CHANNEL_LAYERS = "
                f'{{"default": {{"{str(alias).upper()}": ..., ...}}}}'
            )
    return setting


def layer_aliases() -> list[str]:
    """The aliases of ``CHANNEL_LAYERS``, in its order."""
    return list(layers())


def layer_config(alias: str) -> Mapping[str, Any] | None:
    """The entry of ``CHANNEL_LAYERS`` for ``alias``, checked; None where there is none.

    Raises:
        InvalidChannelLayerError: What is wrong in the entry first, in the order of LM-07.
    """
    config = layers().get(alias)
    if config is None:
        return None
    where = f"CHANNEL_LAYERS[{alias!r}]"
    if not isinstance(config, Mapping):
        hint = did_you_mean(alias, (), "CHANNEL_LAYERS")
        given = f"of type {type(config).__name__}{hint}" if hint else f"{config!r:.100}"  # hosts hold passwords
        raise InvalidChannelLayerError(f"{where} is a dict with BACKEND and ROUTING, not {given}")
    for key in config:
        if key not in LAYER_KEYS:
            raise InvalidChannelLayerError(
                f"{where} has the unknown key {key!r}{did_you_mean(key, LAYER_KEYS, ENTRY)}; "
                f"expected {', '.join(LAYER_KEYS)}, and the backend's own options inside CONFIG"
            )
    if "BACKEND" not in config:
        raise InvalidChannelLayerError(
            f'{where} has no BACKEND; write "BACKEND": "routechan.layers.InMemoryChannelLayer"'
        )
    backend_class(alias, config)
    if shares_with_channels(config):
        _check_backend_for_channels(where, config["BACKEND"])
    if routing_of(alias, config) is None and not channels4.channels_installed():
        raise InvalidChannelLayerError(
            f"{where} has no ROUTING; write the dotted path of your list of routes, "
            'such as "ROUTING": "project.routing.channel_routing"'
        )
    consumers = config.get("CONSUMERS", INLINE)
    if consumers not in (INLINE, WORKERS):
        raise InvalidChannelLayerError(f"{where}['CONSUMERS'] is {INLINE!r} or {WORKERS!r}, not {consumers!r}")
    return config


def routing_of(alias: str, config: Mapping[str, Any]) -> Any:
    """The routing of the layer ``alias``: that of its entry ``config``, else that of ``ROUTECHAN``, else None.

    Raises:
        InvalidChannelLayerError: Both name one.
    """
    from_routechan = _routings().get(alias)
    if ROUTING not in config:
        return from_routechan
    if from_routechan is not None:
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS[{alias!r}] has a ROUTING, and ROUTECHAN['ROUTING'] names one for this layer too; "
            "keep one of them"
        )
    return config[ROUTING]


def runs_in_workers(alias: str) -> bool:
    """Whether the consumers of the layer ``alias`` run in worker processes."""
    return bool((layer_config(alias) or {}).get("CONSUMERS") == WORKERS)


def inline_aliases() -> list[str]:
    """The aliases of the layers whose consumers run in server processes."""
    return [alias for alias in layers() if not (has_no_routing(alias) or runs_in_workers(alias))]


def has_no_routing(alias: str) -> bool:
    """Whether no routing is named for the layer ``alias``, and Channels is there to use it without one."""
    config = layers().get(alias)
    return isinstance(config, Mapping) and shares_with_channels(config) and alias not in _routings()


def shares_with_channels(config: Mapping[str, Any]) -> bool:
    """Whether class-based consumers of Channels use the layer of the entry ``config`` too.

    Channels refuses an entry with a ``ROUTING``.
    """
    return ROUTING not in config and channels4.channels_installed()


def shares_any_with_channels() -> bool:
    """Whether an entry of ``CHANNEL_LAYERS`` is one that Channels uses too; mistakes are left to the checks."""
    setting = getattr(settings, "CHANNEL_LAYERS", None)
    entries = setting.values() if isinstance(setting, Mapping) else ()
    return any(isinstance(config, Mapping) and shares_with_channels(config) for config in entries)


def _check_backend_for_channels(where: str, backend: object) -> None:
    """Refuse a BACKEND that we understand and Channels, which makes the layer, does not."""
    if not isinstance(backend, str) or backend in OLD_BACKENDS:
        path = OLD_BACKENDS.get(backend, MEMORY) if isinstance(backend, str) else MEMORY
        raise InvalidChannelLayerError(
            f"{where}['BACKEND'] is {backend!r}, which Channels, installed here, cannot import; write {path!r}"
        )


def _routings() -> Mapping[str, Any]:
    """Alias -> routing, from ``ROUTECHAN["ROUTING"]``: a dict of routings, or the routing of the default layer."""
    routechan = getattr(settings, "ROUTECHAN", None)  # whose other keys are checked by ``conf.server``
    routing = routechan.get(ROUTING) if isinstance(routechan, Mapping) else None
    if routing is None:
        return {}
    if not isinstance(routing, Mapping):
        return {DEFAULT_CHANNEL_LAYER: routing}
    for alias in routing:
        if alias not in layers():
            raise InvalidChannelLayerError(
                f"ROUTECHAN['ROUTING'] has the alias {alias!r}, which CHANNEL_LAYERS has not; write a dotted path for "
                "the default layer, or a dict of alias: dotted path"
            )
    return routing
