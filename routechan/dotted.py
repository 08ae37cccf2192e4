"""Imports what a dotted path names, or says why it cannot."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from .exceptions import RoutingError


def import_dotted(path: str, what: str) -> Any:
    """What ``path`` (``module.name``) names; ``RoutingError`` calls it ``what`` and gives the nearest name there is."""
    module_path, _, name = path.rpartition(".")
    if not module_path:
        raise RoutingError(
            f"the {what} {path!r} has no dot; write the module and the name in it, such as 'project.routing.{path}'"
        )
    try:
        module = importlib.import_module(module_path)
    except Exception as error:  # whatever is wrong in the user's module, say which name led to it
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise RoutingError(f"the {what} {path!r} cannot be imported: {kind}{error}") from error
    try:
        return getattr(module, name)
    except AttributeError:
        close = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise RoutingError(
            f"the {what} {path!r} cannot be imported: module {module_path!r} has no {name!r}{hint}"
        ) from None
