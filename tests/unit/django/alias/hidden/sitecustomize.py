"""First on PYTHONPATH of a test's process: Channels, Daphne and their layers look as if they were not installed.

The environment of the tests has today's Channels in it, beside which ``install()`` refuses to work.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = ("channels", "channels_redis", "daphne")

_distribution = importlib.metadata.distribution


class _PathFinder(PathFinder):
    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = super().find_spec(fullname, path, target)
        hidden = found is not None and fullname in HIDDEN and "site-packages" in (found.origin or "")
        return None if hidden else found


def distribution(name: str) -> importlib.metadata.Distribution:
    if name.replace("-", "_").lower() in HIDDEN:
        raise importlib.metadata.PackageNotFoundError(name)
    return _distribution(name)


sys.meta_path[:] = [_PathFinder if finder is PathFinder else finder for finder in sys.meta_path]
importlib.metadata.distribution = distribution  # ``version`` asks it too
