"""A module that stands before another one and has further names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any


class Facade(ModuleType):
    """``name``, with the attributes of ``behind``, and ``extra`` ones. Lifetime: process.

    This forwards attributes, as nothing else here does, because it must: ``channels.routing`` has names that the
    core, which knows nothing of Django, has not, and what a test patches in it has to be patched in the
    module our code runs from.
    """

    def __init__(self, name: str, behind: ModuleType, extra: Mapping[str, Any]) -> None:
        super().__init__(name, behind.__doc__)
        self.__dict__.update(extra)
        self.__dict__["_behind"] = behind
        self.__dict__["_own"] = frozenset(extra)
        self.__dict__["__all__"] = sorted({*_public(vars(behind)), *extra})

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._behind, name)
        except AttributeError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_own(name):
            super().__setattr__(name, value)
        else:
            setattr(self._behind, name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_own(name):
            super().__delattr__(name)
        else:
            delattr(self._behind, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._behind), *self.__dict__})

    def _is_own(self, name: str) -> bool:
        return name in self._own or (name.startswith("__") and name.endswith("__"))


def _public(names: Mapping[str, Any]) -> list[str]:
    return [name for name in names if not name.startswith("_")]
