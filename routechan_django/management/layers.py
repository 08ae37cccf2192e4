"""The layer that a command's ``--layer`` names."""

from __future__ import annotations

from django.core.management.base import CommandError

from routechan.exceptions import UnknownChannelLayer
from routechan.layers import SyncChannelLayer

from ..asgi import channel_layers
from ..layer import ChannelLayerWrapper


def named_layer(alias: str) -> SyncChannelLayer:
    """The layer ``alias`` of ``CHANNEL_LAYERS``.

    Raises:
        CommandError: The settings have no such alias.
    """
    try:
        return channel_layers[alias]
    except UnknownChannelLayer as error:
        known = ", ".join(channel_layers.configs) or "none"
        raise CommandError(f"CHANNEL_LAYERS has no alias {alias!r} for --layer; it has {known}") from error


def refuse_local(layer: SyncChannelLayer, consequence: str, alternative: str) -> None:
    """Refuse a layer that no other process can reach.

    Args:
        layer: The layer.
        consequence: What the command could not do with it, for the error: "The layer lives in one process, so ...".
        alternative: What to do instead of using another layer: "use RedisChannelLayer, or ...".

    Raises:
        CommandError: The layer lives in one process.
    """
    local = layer.local_only() if isinstance(layer, ChannelLayerWrapper) else not layer.layer.crosses_processes
    if local:
        raise CommandError(
            f"The channel layer {layer} lives in one process, so {consequence}; use "
            f"routechan.layers.RedisChannelLayer, or {alternative}"
        )
