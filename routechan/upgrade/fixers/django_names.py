"""``django_names``: what Django has moved or removed, and django-upgrade leaves."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from ..project import Project
from ..source import Source, last_name
from ..statements import (
    add_import,
    drop_names,
    import_otherwise,
    imports_from,
    is_guarded,
    is_rebound,
    rename_module,
    uses,
)
from .base import Fixer

#: Module -> module with the same names.
MODULES: Mapping[str, str] = {
    "django.contrib.staticfiles.templatetags.staticfiles": "django.templatetags.static",
    "django.core.context_processors": "django.template.context_processors",
    "django.core.urlresolvers": "django.urls",
    "django.forms.util": "django.forms.utils",
    "django.utils.importlib": "importlib",
}

#: Strings in settings, of packages that projects of that time had.
STRINGS: Mapping[str, str] = {
    "whitenoise.django.GzipManifestStaticFilesStorage": "whitenoise.storage.CompressedManifestStaticFilesStorage",
}

#: Module, name -> module, name.
NAMES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("django.utils.encoding", "force_unicode"): ("django.utils.encoding", "force_str"),
    ("django.utils.encoding", "smart_unicode"): ("django.utils.encoding", "smart_str"),
    ("django.utils.encoding", "force_text"): ("django.utils.encoding", "force_str"),
    ("django.utils.encoding", "smart_text"): ("django.utils.encoding", "smart_str"),
    ("django.utils.datastructures", "SortedDict"): ("collections", "OrderedDict"),
    ("django.utils.lru_cache", "lru_cache"): ("functools", "lru_cache"),
    ("django.db.models.fields", "FieldDoesNotExist"): ("django.core.exceptions", "FieldDoesNotExist"),
    ("django.contrib.sites.models", "get_current_site"): ("django.contrib.sites.shortcuts", "get_current_site"),
    ("django.contrib.sites.models", "RequestSite"): ("django.contrib.sites.requests", "RequestSite"),
}

#: Module, name -> what to do.
GONE: Mapping[tuple[str, str], str] = {
    ("django.contrib.contenttypes", "generic"): "its classes are in the modules fields, forms and admin there",
    ("django.core.cache", "get_cache"): "write caches[alias], from the same module",
    ("django.shortcuts", "render_to_response"): "write render(request, template, context)",
    ("django.utils", "simplejson"): "import json",
    ("django.utils.decorators", "available_attrs"): "leave out the argument assigned of wraps",
    ("django.utils.timezone", "utc"): "write datetime.timezone.utc",
    ("django.utils.functional", "curry"): "write functools.partial, or partialmethod for methods",
    ("django.contrib.auth.middleware", "SessionAuthenticationMiddleware"): "take it out; it is always on",
    ("django.utils.translation", "string_concat"): "write format_lazy, from django.utils.text",
}

#: Ways to get a model by its name that are gone.
LOADING = ("django.db.models.loading", "django.db.models")


def _fix(source: Source, project: Project) -> None:
    """Import from where things are now, and name what has gone."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module and not is_guarded(source, node):
            if node.module in MODULES:
                rename_module(source, node, MODULES[node.module])
            else:
                _fix_names(source, node)
    for node in source.strings():
        if node.value in STRINGS:
            source.replace_string(node, STRINGS[str(node.value)])
        for old, new in MODULES.items():
            if str(node.value).startswith(f"{old}."):
                source.replace_string(node, new + str(node.value)[len(old) :])
    _fix_unicode_compatible(source)
    _fix_get_model(source)


def _fix_names(source: Source, node: ast.ImportFrom) -> None:
    module = node.module or ""
    for alias in node.names:
        if (module, alias.name) in GONE:
            source.tell(node, f"{module}.{alias.name} is gone: {GONE[module, alias.name]}")
    moved = {alias.name: NAMES[module, alias.name] for alias in node.names if (module, alias.name) in NAMES}
    if not moved:
        return
    renamed = {
        alias.name
        for alias in node.names
        if alias.name in moved and not alias.asname and not is_rebound(source, alias.name)
    }
    targets = []
    for alias in node.names:
        new_module, name = moved.get(alias.name, (module, alias.name))
        keeps = alias.name in moved and not alias.asname and alias.name not in renamed
        targets.append((new_module, f"{name} as {alias.name}" if keeps else name))
    if import_otherwise(source, node, targets):
        for old in renamed:
            for use in uses(source, old):
                source.replace_node(use, moved[old][1])


def _fix_unicode_compatible(source: Source) -> None:
    """Take out the decorator ``python_2_unicode_compatible``, which did nothing on Python 3."""
    name = "python_2_unicode_compatible"
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                if last_name(decorator) == name:
                    source.remove_lines(*source.span(decorator))
    for statement in imports_from(source, "django.utils.encoding", "six"):
        if any(alias.name == name for alias in statement.names):
            drop_names(source, statement, {name})


def _fix_get_model(source: Source) -> None:
    for node in imports_from(source, *LOADING):
        if not any(alias.name == "get_model" and not alias.asname for alias in node.names):
            continue
        if is_rebound(source, "get_model") or is_rebound(source, "apps") or not drop_names(source, node, {"get_model"}):
            source.tell(node, f"{node.module}.get_model is gone: write apps.get_model, from django.apps")
            continue
        for use in uses(source, "get_model"):
            source.replace_node(use, "apps.get_model")
        add_import(source, "from django.apps import apps")


FIXER = Fixer("django_names", "names that Django has moved or removed", _fix)
