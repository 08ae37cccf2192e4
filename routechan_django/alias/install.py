"""``install``: makes the old names importable."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys

from .finder import OldNames


def install() -> None:
    """Make ``channels``, its submodules and the layers of 1.x importable.

    Idempotent.

    It has to be called before anything imports ``channels``. It loads nothing, and reads no settings.

    Raises:
        ImportError: Another ``channels`` is installed, or was imported already.
    """
    if any(isinstance(finder, OldNames) for finder in sys.meta_path):
        return
    _refuse_another_channels()
    # In front of all finders, because part of a package may exist: today's asgiref has no ``inmemory``.
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
