"""``python2_names``: builtins, methods and modules of Python 2."""

from __future__ import annotations

import ast
import re

from ..project import Project
from ..source import Source, dotted_name, last_name
from ..statements import add_import, import_otherwise, is_guarded, is_rebound, rename_module, uses
from .base import Fixer

#: Builtin -> that of Python 3.
BUILTINS = {
    "basestring": "str",
    "long": "int",
    "raw_input": "input",
    "unichr": "chr",
    "unicode": "str",
    "xrange": "range",
}
GONE = ("apply", "buffer", "cmp", "execfile", "file", "intern", "reload")
METHODS = {"iteritems": "items", "iterkeys": "keys", "itervalues": "values"}
SPECIAL = {"__unicode__": "__str__", "__nonzero__": "__bool__"}

#: Module -> its names of today; "" is for all others.
MODULES: dict[str, dict[str, str]] = {
    "urlparse": {"": "urllib.parse"},
    "StringIO": {"": "io"},
    "cStringIO": {"": "io"},
    "Queue": {"": "queue"},
    "ConfigParser": {"": "configparser"},
    "Cookie": {"": "http.cookies"},
    "cookielib": {"": "http.cookiejar"},
    "HTMLParser": {"": "html.parser"},
    "httplib": {"": "http.client"},
    "cPickle": {"": "pickle"},
    "SocketServer": {"": "socketserver"},
    "thread": {"": "_thread"},
    "urllib2": {
        **dict.fromkeys(("urlopen", "Request", "build_opener", "install_opener", "HTTPHandler"), "urllib.request"),
        **dict.fromkeys(("HTTPError", "URLError"), "urllib.error"),
    },
    "urllib": {
        **dict.fromkeys(("quote", "quote_plus", "unquote", "unquote_plus", "urlencode"), "urllib.parse"),
        **dict.fromkeys(("urlopen", "urlretrieve"), "urllib.request"),
    },
}
URLLIB = {**{name: module for name, module in MODULES["urllib"].items() if name}}


def _fix(source: Source, project: Project) -> None:
    """Write the names of Python 3."""
    for old, new in BUILTINS.items():
        if not is_rebound(source, old) and not _is_imported(source, old):
            for name in uses(source, old):
                if not _is_guarded_use(source, name):
                    source.replace_node(name, new)
    for call in source.calls(*METHODS):
        if isinstance(call.func, ast.Attribute) and not call.args and last_name(call.func.value) != "six":
            end = source.span(call.func)[1]
            source.replace(end - len(call.func.attr), end, METHODS[call.func.attr])
    _fix_reduce(source)
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and dotted_name(node) == "sys.maxint":
            source.replace_node(node, "sys.maxsize")
        elif isinstance(node, ast.Subscript) and _is_view(node.value):
            source.tell(node, f"{source.of(node)}: what this gives has no items by number: make a list of it first")
    for gone in GONE:
        if not is_rebound(source, gone) and not _is_imported(source, gone):
            for name in uses(source, gone):
                if not _is_guarded_use(source, name):
                    source.tell(name, f"{gone} is gone from Python 3")
    for call in source.calls("has_key"):
        if not isinstance(call.func, ast.Attribute) or last_name(call.func.value) in ("self", "cache"):
            continue  # Django's caches have it
        source.tell(call, f"{source.of(call)}: dicts have no has_key: write in")
    for call in source.calls("assertItemsEqual"):
        if isinstance(call.func, ast.Attribute):
            end = source.span(call.func)[1]
            source.replace(end - len(call.func.attr), end, "assertCountEqual")
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            _fix_class(source, node)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module in MODULES:
            _fix_from(source, node, project)
        elif isinstance(node, ast.Import) and not is_guarded(source, node):
            for alias in node.names:
                _fix_module(source, project, node, alias)


def _fix_reduce(source: Source) -> None:
    used = uses(source, "reduce")
    if used and not is_rebound(source, "reduce") and not _is_imported(source, "reduce"):
        add_import(source, "from functools import reduce")


def _is_view(node: ast.expr) -> bool:
    """Whether ``node`` is ``x.keys()`` or the like."""
    if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in ("keys", "values", "items")


def _is_imported(source: Source, name: str) -> bool:
    imports = [node for node in source.nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return any((alias.asname or alias.name) in (name, "*") for node in imports for alias in node.names)


def _is_guarded_use(source: Source, node: ast.AST) -> bool:
    """Whether a name is tried first, or its absence is handled."""
    while node in source.parents:
        node = source.parents[node]
        if isinstance(node, ast.Try) and any("NameError" in ast.dump(handler) for handler in node.handlers):
            return True
        if isinstance(node, ast.If | ast.IfExp) and re.search("PY2|PY3|version_info", ast.unparse(node.test)):
            return True
    return False


def _fix_class(source: Source, node: ast.ClassDef) -> None:
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    for old, new in SPECIAL.items():
        if old not in methods:
            continue
        if new in methods:
            source.tell(
                methods[old], f"{old} is never called in Python 3: see that {new} says what it said", must=False
            )
            continue
        start = source.span(methods[old])[0]
        name = source.text.index(old, start)
        source.replace(name, name + len(old), new)


def _fix_from(source: Source, node: ast.ImportFrom, project: Project) -> None:
    names = MODULES[node.module or ""]
    if is_guarded(source, node) or node.module in project.own_packages:
        return
    if node.names[0].name == "*":
        if "" in names:
            rename_module(source, node, names[""])
        return
    targets = [names.get(alias.name, names.get("", "")) for alias in node.names]
    if not all(targets):
        if node.module == "urllib2":
            source.tell(node, "urllib2 is urllib.request, urllib.error and urllib.parse in Python 3")
        return
    pairs = [(module, alias.name) for module, alias in zip(targets, node.names, strict=True)]
    if not import_otherwise(source, node, pairs):
        source.tell(node, f"{node.module} is in {', '.join(dict.fromkeys(targets))} in Python 3")


def _fix_module(source: Source, project: Project, node: ast.Import, alias: ast.alias) -> None:
    name = alias.name
    if name in project.own_packages or alias.name not in MODULES:
        return
    if name == "urllib":
        for call in source.nodes:
            if isinstance(call, ast.Attribute) and call.attr in URLLIB and dotted_name(call.value) == "urllib":
                source.tell(call, f"urllib.{call.attr} is {URLLIB[call.attr]}.{call.attr} in Python 3")
        return
    if name == "urllib2":
        source.tell(node, "urllib2 is urllib.request, urllib.error and urllib.parse in Python 3")
        return
    module, local = MODULES[name][""], alias.asname or name
    if name in ("StringIO", "cStringIO"):
        source.tell(node, f"{name} is in io in Python 3: io.StringIO for text, io.BytesIO for bytes")
    elif local == module:
        source.replace_node(alias, module)
    elif "." in module and len(node.names) == 1:
        package, _, last = module.rpartition(".")
        source.replace_node(node, f"from {package} import {last} as {local}")
    else:
        source.replace_node(alias, f"{module} as {local}")


FIXER = Fixer("python2_names", "builtins, methods and modules of Python 2", _fix)
