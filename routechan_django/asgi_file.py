"""The project's ``asgi.py``: whether it serves Django alone, so that no socket reaches a consumer."""

from __future__ import annotations

import ast
import importlib.util
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import DEFAULT_CHANNEL_LAYER

from . import conf

logger = logging.getLogger("routechan")

#: The module of Django's own ``get_asgi_application``, and what a project imports to serve sockets.
DJANGO = "django.core.asgi"
SOCKETS = {"routechan", "routechan_django", "channels"}

ADVICE = "write in its place: from routechan_django.asgi import get_asgi_application"


def check_asgi_file(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The warning W007 where the project's ``asgi.py`` serves Django alone, and consumers run in the server.

    Args:
        app_configs: The apps to check; unused.
        **kwargs: What else Django passes; unused.
    """
    if not _serves_inline():
        return []
    for file in _candidates():
        line = django_alone(file)
        if line is not None:
            return [
                Warning(
                    f"{file}, line {line}: {DJANGO} serves Django alone, so no socket reaches a consumer.",
                    hint=f"{ADVICE[0].upper()}{ADVICE[1:]}.",
                    id="routechan.W007",
                )
            ]
    return []


def warn_of_django_alone() -> None:
    """Log what W007 says in the server process, where nobody runs checks.

    Call it while apps are set up: it finds the ``asgi.py`` whose call of Django's ``get_asgi_application`` does that.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        caller = frame.f_back
        if frame.f_globals.get("__name__") == DJANGO:
            line = django_alone(Path(caller.f_code.co_filename))
            if line is not None and _serves_inline():
                logger.warning(
                    "%s, line %d: %s serves Django alone, so no socket reaches a consumer; %s",
                    caller.f_code.co_filename,
                    line,
                    DJANGO,
                    ADVICE,
                )
            return
        frame = caller


def django_alone(file: Path) -> int | None:
    """The line on which ``file`` imports Django's own application; None where it may serve sockets too.

    A module that imports this library, Channels, or something of the project, may get its application from there.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    found: int | None = None
    for module, line in _imports(tree):
        top = module.partition(".")[0]
        if module == DJANGO:
            found = line
        elif not top or top in SOCKETS or top == _project():
            return None
    return found


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The modules that are imported, with the line; those of a relative import begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno
        elif isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)


def _candidates() -> Iterator[Path]:
    """The files that may be the project's ``asgi.py``: that of ``ASGI_APPLICATION``, else one beside its settings."""
    named = getattr(settings, "ASGI_APPLICATION", None)
    modules = [named.rpartition(".")[0]] if isinstance(named, str) else _beside_settings()
    for module in modules:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            continue
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin)


def _beside_settings() -> list[str]:
    modules: list[str] = []
    for name in (getattr(settings, "SETTINGS_MODULE", None), getattr(settings, "ROOT_URLCONF", None)):
        while isinstance(name, str) and "." in name:
            name = name.rpartition(".")[0]
            if f"{name}.asgi" not in modules:
                modules.append(f"{name}.asgi")
    return modules


def _project() -> str:
    named = getattr(settings, "SETTINGS_MODULE", None) or getattr(settings, "ROOT_URLCONF", None) or ""
    return str(named).partition(".")[0]


def _serves_inline() -> bool:
    """Whether sockets are to reach consumers in the server that Django's application would run in.

    Where workers run them, ``python -m routechan serve`` may hold the sockets, and Django's own ``asgi.py`` is right.
    """
    try:
        config = conf.layer_config(DEFAULT_CHANNEL_LAYER)
        routed = config is not None and conf.routing_of(DEFAULT_CHANNEL_LAYER, config) is not None
        return routed and not conf.runs_in_workers(DEFAULT_CHANNEL_LAYER)
    except (InvalidChannelLayerError, ImproperlyConfigured):  # other checks tell
        return False
