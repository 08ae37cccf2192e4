"""The import finder of old module names.

``channels.sessions`` *is* ``routechan_django.sessions``, the same object in ``sys.modules``, so a patch or a subclass
of one is of both. A module is loaded when it is imported, not before.
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

from routechan.upgrade import renames

from . import homes, modules

#: Old name -> our module; submodules correspond by name.
SAME: Mapping[str, str] = {
    **renames.MODULES,
    "channels.apps": "routechan_django.alias.apps",
    "channels.tests.base": "routechan_django.test.base",
    "channels.tests.http": "routechan_django.test.http",
    "channels.delay.apps": "routechan_django.alias.delay_apps",
    **dict.fromkeys(renames.ASGIREF, renames.OLD_LAYERS),
}

#: Old name -> makes the module, where our module lacks names that 1.x had there.
FACADES: Mapping[str, Callable[[], ModuleType]] = {
    "channels.message": modules.message,
    "channels.routing": modules.routing,
}

#: Module that 1.1.8 did not have (13.3) -> the end of the error, which says what to do.
ABSENT: Mapping[str, str] = {
    **{
        name: f"is a module of Channels 2 and later, not of 1.x, for which install() stands in; {advice}"
        for name, advice in renames.LATER.items()
    },
    **renames.REMOVED,
}


class OldNames(MetaPathFinder):
    """The import finder of old module names. Lifetime: process.

    Args:
        asgi_redis: Whether to provide that package too.
    """

    def __init__(self, asgi_redis: bool) -> None:
        self._same = {**SAME, **(dict.fromkeys(renames.ASGI_REDIS, renames.OLD_LAYERS) if asgi_redis else {})}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an old module, else None.

        Args:
            fullname: The dotted name to import.
            path: The ``__path__`` of its parent.
            target: Unused.

        Raises:
            ModuleNotFoundError: 1.x had no such module; the text says what to use.
        """
        if not fullname.startswith(("channels", "asgi_redis", "asgiref.")):
            return None
        if fullname == "channels":
            source = Path(__file__).parent / "_channels.py"
            return importlib.util.spec_from_file_location(fullname, source, submodule_search_locations=[])
        if fullname in FACADES:
            return ModuleSpec(fullname, _FacadeLoader(FACADES[fullname]))
        if fullname in ABSENT:
            raise ModuleNotFoundError(f"{fullname!r} {ABSENT[fullname]}", name=fullname)
        if fullname.startswith("asgiref.") and importlib.machinery.PathFinder.find_spec(fullname, path):
            return None  # this version of asgiref has the module
        ours = self._same.get(fullname) or self._submodule(fullname)
        if ours is None or importlib.util.find_spec(ours) is None:
            return None
        return ModuleSpec(fullname, _SameModuleLoader(ours))

    def _submodule(self, fullname: str) -> str | None:
        """Our module for a submodule of a package, such as ``channels.generic.base``."""
        parent, _, name = fullname.rpartition(".")
        ours = SAME.get(parent) or (self._submodule(parent) if parent else None)
        return f"{ours}.{name}" if ours else None


class _SameModuleLoader(Loader):
    """Loads an old name by putting our module into ``sys.modules`` under that name too. Lifetime: one import."""

    def __init__(self, ours: str) -> None:
        self._ours = ours

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = ours = importlib.import_module(self._ours)
        homes.adopt(module.__name__, ours)


class _FacadeLoader(Loader):
    """Loads the module that ``make`` makes. Lifetime: one import."""

    def __init__(self, make: Callable[[], ModuleType]) -> None:
        self._make = make

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._make()

    def exec_module(self, module: ModuleType) -> None:
        homes.adopt(module.__name__, module)
