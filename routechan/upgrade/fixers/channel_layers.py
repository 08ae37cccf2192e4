"""``channel_layers``: BACKEND and CONFIG of the layers in the settings."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ...layers.redis.hosts import GONE
from ..lookup import advice_on
from ..project import Project
from ..renames import MEMORY, OLD_BACKENDS, OLD_SENTINEL_BACKENDS, REDIS
from ..source import Source, last_name
from .base import Fixer

#: What the names of layers begin with that have none in their place here.
OTHERS = ("asgi_ipc.", "asgi_rabbitmq.", "asgi_amqp.", "channels.backends.", "channels.database_layer.")

SENTINEL = '"hosts": [{"sentinels": [(host, port), ...], "master_name": service}]'
OPTIONS = "3.1, 4.1"

#: What a requirements file has where encryption can work.
CRYPTO = r"cryptography\b|routechan\[[^\]]*\bcrypto\b"


def _fix(source: Source, project: Project) -> None:
    """Name our layers, and take out the options that mean nothing here."""
    for node in source.strings():
        _fix_backend(source, node)
    for layer in source.nodes:
        if isinstance(layer, ast.Dict) and "BACKEND" in _keys(layer):
            for key, value in _items(layer):
                if key in ("CONFIG", "TEST_CONFIG") and isinstance(value, ast.Dict):
                    _fix_options(source, value)
                    _tell_keys(source, project, value)


def _fix_backend(source: Source, node: ast.Constant) -> None:
    value = str(node.value)
    if value in OLD_SENTINEL_BACKENDS:
        source.tell(
            node,
            f"{value} still works, with its options; the same for {REDIS} is {SENTINEL}",
            "3.5, item 55",
            must=False,
        )
    elif value in OLD_BACKENDS:
        if not isinstance(source.parents[node], ast.Call) or _is_default(source, node):
            source.replace_string(node, OLD_BACKENDS[value])
    elif value.startswith(OTHERS) and value.count(".") >= 1 and " " not in value:
        known = advice_on(value)
        text = known or f"there is no such layer here; write {REDIS}, or {MEMORY} for one process"
        source.tell(node, f"{value}: {text}", OPTIONS)


def _is_default(source: Source, node: ast.Constant) -> bool:
    """Whether a string is what ``env("NAME", default)``, in any spelling, falls back to."""
    parent = source.parents[node]
    return isinstance(parent, ast.Call) and last_name(parent.func) in ("env", "str", "getenv", "config", "get")


def _fix_options(source: Source, config: ast.Dict) -> None:
    keys = [key for key in config.keys if key is not None]
    if len(keys) != len(config.keys):
        return
    for index, (key, value) in enumerate(zip(keys, config.values, strict=True)):
        name = key.value if isinstance(key, ast.Constant) else None
        if name in ("services", "sentinel_refresh_interval"):
            continue  # told with the BACKEND
        if name in GONE:
            source.remove_element(keys, index, value)


def _tell_keys(source: Source, project: Project, config: ast.Dict) -> None:
    """Name encryption in a project that does not install what encrypts; asgi_redis had it as an extra of its own."""
    for key, value in _items(config):
        empty = isinstance(value, ast.List | ast.Tuple) and not value.elts
        if key == "symmetric_encryption_keys" and not empty and not project.mentions_requirement(CRYPTO):
            source.tell(value, "symmetric_encryption_keys needs cryptography: install routechan[crypto,server]")


def _items(node: ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, value


def _keys(node: ast.Dict) -> list[str]:
    return [key for key, _ in _items(node)]


FIXER = Fixer("channel_layers", "BACKEND and CONFIG in CHANNEL_LAYERS", _fix)
