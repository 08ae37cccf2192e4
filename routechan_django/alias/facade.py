"""A module with the attributes of another one, and further ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any


class Facade(ModuleType):
    """A module that forwards attributes to another one, and has further ones of its own. Lifetime: process.

    Forwarding is needed here: ``channels.routing`` has names that the core, which knows nothing of Django, lacks, and a
    name that a test patches in it has to be patched in the module that our code runs from.

    Args:
        name: The name of this module.
        target: The module to forward to.
        extra: Name -> object, for the names that ``target`` lacks.
    """

    def __init__(self, name: str, target: ModuleType, extra: Mapping[str, Any]) -> None:
        super().__init__(name, target.__doc__)
        self.__dict__.update(extra)
        self.__dict__["_target"] = target
        self.__dict__["_own"] = frozenset(extra)
        self.__dict__["__all__"] = sorted({*_public(vars(target)), *extra})

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._target, name)
        except AttributeError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_own(name):
            super().__setattr__(name, value)
        else:
            setattr(self._target, name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_own(name):
            super().__delattr__(name)
        else:
            delattr(self._target, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._target), *self.__dict__})

    def _is_own(self, name: str) -> bool:
        return name in self._own or (name.startswith("__") and name.endswith("__"))


def _public(names: Mapping[str, Any]) -> list[str]:
    return [name for name in names if not name.startswith("_")]
