"""What a dotted path names."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from ..exceptions import RoutingError
from .places import imported_by, raised_at


def import_dotted(path: str, what: str) -> Any:
    """The object that a dotted path names.

    Args:
        path: ``module.name``.
        what: what the path is for ("consumer", "routing"), for the error.

    Raises:
        RoutingError: the path has no dot, its module cannot be imported, or the module has no such name; the
            text gives the nearest name there is.
    """
    module_path, _, name = path.rpartition(".")
    if not module_path:
        raise RoutingError(
            f"the {what} {path!r} has no dot; write the module and the name in it, such as 'project.routing.{path}'"
        )
    try:
        module = importlib.import_module(module_path)
    except (Exception, SystemExit) as error:  # whatever is wrong in the user's module, say which name led to it
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        advice = ""
        if type(error).__name__ == "AppRegistryNotReady":
            advice = (
                f". It was imported{imported_by() or ' early'}, before Django had loaded the apps. Import the routing "
                "and its consumers behind django.setup() or get_asgi_application(): not in settings, nor in the "
                "__init__.py, apps.py or models.py of an app; there write their dotted paths"
            )
        raise RoutingError(
            f"the {what} {path!r} cannot be imported: {kind}{error}{raised_at(error)}{advice}"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError:
        close = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise RoutingError(
            f"the {what} {path!r} cannot be imported: module {module_path!r} has no {name!r}{hint}"
        ) from None
