"""``django_removed``: imports that the Django of this environment lacks, and attributes that Django has removed."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from ..installed import has_module, has_name, version_of
from ..project import Project
from ..source import Source, dotted_name, last_name
from ..statements import is_guarded
from . import auth_views, django_names
from .base import Fixer

#: A dotted name of a class of Django, as settings have it.
CLASS = re.compile(r"(django(?:\.[a-z_]\w*)+)\.([A-Z]\w*[a-z]\w*)")

#: Module, name -> what to do instead.
INSTEAD: Mapping[tuple[str, str], str] = {
    ("django.core.management.base", "NoArgsCommand"): "write BaseCommand, with handle() in place of handle_noargs()",
    ("django.core.servers.basehttp", "FileWrapper"): "it is in wsgiref.util",
    ("django.db.models.sql.constants", "LOOKUP_SEP"): "it is in django.db.models.constants",
    ("django.utils.functional", "allow_lazy"): "write keep_lazy(str)",
    ("django.utils.http", "cookie_date"): "write http_date",
    ("django.utils.html", "remove_tags"): "write strip_tags, or a sanitizer",
    ("django.utils.log", "NullHandler"): "it is in logging",
    ("django.template.base", "TemplateDoesNotExist"): "it is in django.template",
}

#: Module -> what to do instead.
MODULES: Mapping[str, str] = {
    "django.contrib.admin.util": "write django.contrib.admin.utils",
    "django.contrib.comments": "it is a package of its own, django-contrib-comments",
    "django.contrib.contenttypes.generic": "its classes are in the modules fields, forms and admin there",
    "django.contrib.formtools": "it is a package of its own, django-formtools",
    "django.core.cache.backends.memcached": "write PyMemcacheCache",
    "django.test.simple": "write django.test.runner.DiscoverRunner",
    "django.utils.tzinfo": "write get_fixed_timezone, from django.utils.timezone",
}

#: Method of ``transaction`` -> what to do.
TRANSACTION: Mapping[str, str] = {
    "autocommit": "take it out: autocommit is what Django does",
    "commit_manually": "write atomic, and savepoints in it",
    "commit_on_success": "write atomic",
}

#: Attribute of a request -> what to do.
REQUEST: Mapping[str, str] = {
    "REQUEST": "write request.GET or request.POST",
    "raw_post_data": "write request.body",
}


def _fix(source: Source, project: Project) -> None:
    """Name what has gone; changes nothing."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and not node.level and not is_guarded(source, node):
            _tell_import(source, node)
        elif isinstance(node, ast.Import) and not is_guarded(source, node):
            for alias in node.names:
                if alias.name.startswith("django.") and not has_module(alias.name):
                    source.tell(node, _gone(alias.name, _module_advice(alias.name)))
        elif isinstance(node, ast.Attribute):
            _tell_attribute(source, node)
        elif isinstance(node, ast.ClassDef) and any(last_name(base).endswith("Command") for base in node.bases):
            _tell_options(source, node)
        elif isinstance(node, ast.FunctionDef) and node.name == "get_query_set":
            source.tell(node, "get_query_set is gone: write get_queryset")
    for string in source.strings():
        _tell_string(source, string)


def _tell_import(source: Source, node: ast.ImportFrom) -> None:
    module = node.module or ""
    if not module.startswith("django.") or module in django_names.LOADING[:1] or module in django_names.MODULES:
        return
    if not has_module(module):
        source.tell(node, _gone(module, _module_advice(module)))
        return
    for alias in node.names:
        if alias.name != "*" and not _told_elsewhere(module, alias.name) and not has_name(module, alias.name):
            source.tell(node, _gone(f"{module}.{alias.name}", INSTEAD.get((module, alias.name), "")))


def _told_elsewhere(module: str, name: str) -> bool:
    """Whether another fixer names it, or writes what is there today."""
    return (
        (module, name) in django_names.GONE
        or (module, name) in django_names.NAMES
        or (module == auth_views.MODULE and name in auth_views.VIEWS)
        or (module, name) in (("django.conf.urls", "patterns"), ("django.conf.urls", "url"))
        or (module in django_names.LOADING and name == "get_model")
        or module.startswith("django.utils.six")
    )


def _gone(name: str, advice: str) -> str:
    return f"{name} is not in Django {version_of('django')}" + (
        f": {advice}" if advice else "; its release notes say why"
    )


def _module_advice(module: str) -> str:
    """What ``MODULES`` says of a module, or of one that it is in."""
    return next((advice for old, advice in MODULES.items() if f"{module}.".startswith(f"{old}.")), "")


def _tell_attribute(source: Source, node: ast.Attribute) -> None:
    owner = last_name(node.value)
    if owner == "transaction" and node.attr in TRANSACTION and "django" in source.text:
        source.tell(node, f"transaction.{node.attr} is gone: {TRANSACTION[node.attr]}")
    elif owner == "request" and node.attr in REQUEST:
        source.tell(node, f"request.{node.attr} is gone: {REQUEST[node.attr]}")
    elif node.attr == "get_query_set":
        source.tell(node, "get_query_set is gone: write get_queryset")
    elif node.attr == "allow_tags" and isinstance(node.ctx, ast.Store):
        source.tell(node, "allow_tags means nothing since Django 2.0: return format_html(...)", must=False)


def _tell_options(source: Source, node: ast.ClassDef) -> None:
    for item in node.body:
        if isinstance(item, ast.Assign) and [dotted_name(target) for target in item.targets] == ["option_list"]:
            source.tell(item, "option_list of a command is gone: write add_arguments(self, parser)")


def _tell_string(source: Source, string: ast.Constant) -> None:
    """Name a class in settings, such as a cache's backend, that is not there."""
    match = CLASS.fullmatch(str(string.value))
    if match is None or match[1] in django_names.MODULES or str(string.value).endswith("PickleSerializer"):
        return
    if not has_module(match[1]):
        source.tell(string, _gone(str(string.value), _module_advice(match[1])))
    elif not has_name(match[1], match[2]) and (match[1], match[2]) not in django_names.GONE:
        advice = INSTEAD.get((match[1], match[2]), "") or _module_advice(match[1])
        source.tell(string, _gone(str(string.value), advice))


FIXER = Fixer("django_removed", "imports and attributes that today's Django lacks; named only", _fix)
