"""Finds the modules of 1.x: each old name stands for a module of ours.

``channels.sessions`` *is* ``routechan_django.sessions``, the same object in ``sys.modules``: what is patched or
subclassed under one name is so under the other. Nothing is loaded before it is imported.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from . import facades

_SAME_NAME = (
    "asgi",
    "auth",
    "binding",
    "delay",
    "generic",
    "hacks",
    "handler",
    "log",
    "management",
    "package_checks",
    "security",
    "sessions",
    "signals",
    "staticfiles",
    "test",
    "tests",
    "utils",
    "worker",
)
_OLD_LAYERS = "routechan_django.alias.old_layers"

#: Old name -> the module of ours that it stands for, and so do the submodules of its own.
SAME: Mapping[str, str] = {
    **{f"channels.{name}": f"routechan_django.{name}" for name in _SAME_NAME},
    "channels.apps": "routechan_django.alias.apps",
    "channels.channel": "routechan.channel",
    "channels.delay.apps": "routechan_django.alias.delay_apps",
    "channels.exceptions": "routechan.exceptions",
    "asgiref.base_layer": _OLD_LAYERS,
    "asgiref.inmemory": _OLD_LAYERS,
}

#: The package of the Redis layer, where that is not installed.
ASGI_REDIS = ("asgi_redis", "asgi_redis.core", "asgi_redis.local", "asgi_redis.sentinel")

#: Old name -> makes what stands for it, where a module of the core lacks names that 1.x had there.
FACADES: Mapping[str, Callable[[], ModuleType]] = {
    "channels.message": facades.message,
    "channels.routing": facades.routing,
}

_LATER = "is a module of Channels 2 and later, not of 1.x, for which install() stands in; "

#: Names that 1.1.8 did not have (13.3) -> what to do about it.
ABSENT: Mapping[str, str] = {
    "channels.consumer": _LATER + "write consumers as functions, or as classes of channels.generic",
    "channels.db": _LATER + "a plain function may use the database, in async code: asgiref.sync.sync_to_async",
    "channels.generic.http": _LATER + "route http.request to a function, or leave HTTP to Django's views",
    "channels.generic.websocket": _LATER + "in 1.x it is channels.generic.websockets",
    "channels.layers": _LATER + "in 1.x it is channels.asgi.get_channel_layer, and routechan.layers has the layers",
    "channels.middleware": _LATER + "in 1.x decorators do its work: channels.sessions, channels.auth",
    "channels.security.websocket": _LATER + "in 1.x it is channels.security.websockets",
    "channels.testing": _LATER + "in 1.x it is channels.test",
    "channels.database_layer": "was removed in Channels 0.13; write "
    '"BACKEND": "routechan.layers.RedisChannelLayer", or "routechan.layers.InMemoryChannelLayer" for one process',
}


class OldNames(MetaPathFinder):
    """Finds what 1.x projects import. Lifetime: process.

    ``asgi_redis``: whether to stand in for that package too.
    """

    def __init__(self, asgi_redis: bool) -> None:
        self._same = {**SAME, **(dict.fromkeys(ASGI_REDIS, _OLD_LAYERS) if asgi_redis else {})}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(("channels", "asgi_redis", "asgiref.")):
            return None
        if fullname == "channels":
            source = Path(__file__).parent / "_channels.py"
            return importlib.util.spec_from_file_location(fullname, source, submodule_search_locations=[])
        if fullname in FACADES:
            return ModuleSpec(fullname, _Made(FACADES[fullname]))
        if fullname in ABSENT:
            raise ModuleNotFoundError(f"{fullname!r} {ABSENT[fullname]}", name=fullname)
        if fullname.startswith("asgiref.") and importlib.machinery.PathFinder.find_spec(fullname, path):
            return None  # an asgiref that has it
        ours = self._same.get(fullname) or self._below(fullname)
        if ours is None or importlib.util.find_spec(ours) is None:
            return None
        return ModuleSpec(fullname, _Same(ours))

    def _below(self, fullname: str) -> str | None:
        """The module of ours that a submodule of a package stands for, such as ``channels.generic.base``."""
        parent, _, name = fullname.rpartition(".")
        ours = SAME.get(parent) or (self._below(parent) if parent else None)
        return f"{ours}.{name}" if ours else None


class _Same(Loader):
    """Loads an old name as a module of ours, by putting that in ``sys.modules`` under the old name too."""

    def __init__(self, ours: str) -> None:
        self._ours = ours

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self._ours)


class _Made(Loader):
    """Loads what ``make`` makes."""

    def __init__(self, make: Callable[[], ModuleType]) -> None:
        self._make = make

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._make()

    def exec_module(self, module: ModuleType) -> None:
        """It is complete."""
