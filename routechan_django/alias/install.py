"""Puts the finder of old names in place."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys

from .finder import OldNames


def install() -> None:
    """Make ``channels``, its submodules and the names of older layers importable; doing so again changes nothing.

    To be called before anything imports ``channels``. Nothing is loaded yet, and no setting is read.
    Raises ``ImportError`` where another ``channels`` is installed or was imported already.
    """
    if any(isinstance(finder, OldNames) for finder in sys.meta_path):
        return
    _refuse_another_channels()
    # First, because the packages of older layers may be half there: asgiref is, without its ``inmemory``.
    sys.meta_path.insert(0, OldNames(asgi_redis=_spec("asgi_redis") is None))


def _refuse_another_channels() -> None:
    try:
        version = importlib.metadata.version("channels")
    except importlib.metadata.PackageNotFoundError:
        spec = _spec("channels")
        if spec is not None:
            where = spec.origin or ", ".join(spec.submodule_search_locations or ())
            raise ImportError(
                f"install() makes 'channels' answer to routechan, but a module of that name is here: {where}. "
                "Rename it, or leave install() out and import from routechan and routechan_django",
                name="channels",
            ) from None
    else:
        raise ImportError(
            f"install() makes 'channels' answer to routechan, but Channels {version} is installed. To run a project "
            "written for Channels 1.x, remove it: pip uninstall channels. To use both in one project, leave "
            "install() out and import from routechan and routechan_django",
            name="channels",
        )


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: it is in sys.modules and has no spec
        return sys.modules[name].__spec__ if name in sys.modules else None
