"""``urls``: ``url()``, ``patterns()`` and ``include()`` in URL configurations."""

from __future__ import annotations

import ast
import re

from ..project import Project
from ..source import Source, dotted_name
from ..statements import import_otherwise, imports_from, is_rebound, uses
from .base import Fixer

OLD = "django.conf.urls"
ROW = ""


def _fix(source: Source, project: Project) -> None:
    """Write ``re_path``, which is what ``url`` was, and lists."""
    for node in imports_from(source, "django.conf.urls.defaults"):
        source.tell(node, f"{node.module} is gone: import include and re_path from django.urls", ROW)
    kept = [call for call in source.calls("patterns") if not _fix_patterns(source, call)]
    for node in imports_from(source, OLD):
        _fix_import(source, node, keep_patterns=bool(kept))
    for call in source.calls("url", "re_path"):
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) and isinstance(call.args[1].value, str):
            source.tell(call, f"{call.args[1].value!r}: a view is no string any more: import it", ROW)
    for call in source.calls("i18n_patterns"):
        if call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == "":
            source.remove_element(call.args, 0)
    for call in source.calls("include"):
        _fix_include(source, project, call)


def _fix_import(source: Source, node: ast.ImportFrom, *, keep_patterns: bool) -> None:
    if node.names[0].name == "*":
        source.tell(node, "from django.conf.urls import *: import include and re_path from django.urls", ROW)
        return
    targets: list[tuple[str, str] | None] = []
    plain = [alias for alias in node.names if alias.name == "url"]
    if not plain and not any(alias.name == "patterns" for alias in node.names):
        return
    rename = bool(plain) and not plain[0].asname and not is_rebound(source, "url")
    for alias in node.names:
        if alias.name == "url":
            targets.append(("django.urls", "re_path" if rename or alias.asname else "re_path as url"))
        elif alias.name == "include":
            targets.append(("django.urls", "include"))
        elif alias.name == "patterns" and not keep_patterns:
            targets.append(None)
        else:
            targets.append((OLD, alias.name))
    if not import_otherwise(source, node, targets):
        source.tell(node, "django.conf.urls has no url and no patterns: import re_path from django.urls", ROW)
    elif rename:
        for name in uses(source, "url"):
            source.replace_node(name, "re_path")


def _fix_patterns(source: Source, call: ast.Call) -> bool:
    """Write a list; whether that could be done."""
    if not isinstance(call.func, ast.Name) or not imports_from(source, OLD):
        return True  # something else of that name
    prefix = call.args[0] if call.args else None
    if not isinstance(prefix, ast.Constant) or prefix.value != "" or call.keywords:
        source.tell(call, "patterns() with a prefix is gone: write a list of re_path() with the views themselves", ROW)
        return False
    start, end = source.span(call)
    after = source.span(prefix)[1]
    comma = re.compile(r"\s*,?[ \t]*").match(source.text, after)
    source.replace(start, comma.end() if comma else after, "[")
    source.replace(end - 1, end, "]")
    return True


def _fix_include(source: Source, project: Project, call: ast.Call) -> None:
    if len(call.args) == 1 and dotted_name(call.args[0]).endswith("site.urls") and not call.keywords:
        source.replace_node(call, source.of(call.args[0]))
        return
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if set(named) == {"namespace", "app_name"}:
        _write_pair(source, call, named["app_name"])
    elif set(named) == {"namespace"} and len(call.args) == 1 and isinstance(call.args[0], ast.Constant):
        path = project.module(str(call.args[0].value))
        if path is None or "app_name" in project.names_in(path):
            return  # it may have one in a package that is installed
        _write_pair(source, call, named["namespace"])


def _write_pair(source: Source, call: ast.Call, app_name: ast.expr) -> None:
    """``include((urls, app_name), namespace=...)``, as Django has it since 2.0."""
    keyword = next((keyword for keyword in call.keywords if keyword.arg == "app_name"), None)
    if len(call.args) != 1 or isinstance(call.args[0], ast.Tuple):
        return
    if keyword is not None:
        elements: list[ast.keyword] = call.keywords
        start, end = source.span(keyword)
        before = re.compile(r",\s*$").search(source.text, 0, start)
        after = re.compile(r"\s*,\s*").match(source.text, end)
        if elements[-1] is keyword:
            source.replace(before.start() if before else start, end, "")
        else:
            source.replace(start, after.end() if after else end, "")
    source.replace_node(call.args[0], f"({source.of(call.args[0])}, {source.of(app_name)})")


FIXER = Fixer("urls", "url(), patterns() and include() in URL configurations", _fix)
