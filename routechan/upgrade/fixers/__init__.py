"""The fixers, in the order in which they run."""

from __future__ import annotations

from . import (
    accept,
    asgi_file,
    auth_views,
    channel_layers,
    commands,
    decoded_values,
    dict_routing,
    django_names,
    django_removed,
    django_upgrade,
    dotted_strings,
    imports,
    installed_apps,
    is_authenticated,
    leftovers,
    middleware,
    ordering,
    python2_names,
    python2_syntax,
    pyupgrade,
    relative_imports,
    requirements,
    six,
    templates,
    urls,
)
from .base import Fixer

_RENAMES = (imports, dotted_strings, installed_apps, channel_layers, asgi_file, commands, requirements)

_MODULES = (
    *_RENAMES,
    *(accept, ordering, decoded_values, dict_routing),
    *(python2_syntax, python2_names, relative_imports, django_upgrade, pyupgrade, six, django_names),
    *(urls, auth_views, middleware, is_authenticated, templates, leftovers, django_removed),
)

#: Name -> fixer.
FIXERS: dict[str, Fixer] = {module.FIXER.name: module.FIXER for module in _MODULES}

#: Name -> fixers that are chosen together: those that a project leaves out that keeps the old names, through the alias.
GROUPS: dict[str, tuple[str, ...]] = {"channels": tuple(module.FIXER.name for module in _RENAMES)}
