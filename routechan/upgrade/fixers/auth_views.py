"""``auth_views``: the views of ``django.contrib.auth`` that were functions."""

from __future__ import annotations

import ast

from ..project import Project
from ..source import Source, dotted_name, last_name
from ..statements import add_import, import_otherwise, imports_from
from .base import Fixer

MODULE = "django.contrib.auth.views"

#: Function -> class.
VIEWS = {
    "login": "LoginView",
    "logout": "LogoutView",
    "password_change": "PasswordChangeView",
    "password_change_done": "PasswordChangeDoneView",
    "password_reset": "PasswordResetView",
    "password_reset_done": "PasswordResetDoneView",
    "password_reset_confirm": "PasswordResetConfirmView",
    "password_reset_complete": "PasswordResetCompleteView",
}

#: Arguments of the functions that the classes have under the same name.
ARGUMENTS = ("template_name", "next_page", "extra_context", "email_template_name", "subject_template_name")


def _fix(source: Source, project: Project) -> None:
    """Write ``LoginView.as_view()`` for ``login``, with its arguments."""
    if MODULE not in source.text and "django.contrib.auth" not in source.text:
        return
    local = _local_names(source)
    done: set[str] = set()
    for call in source.calls("url", "re_path", "path"):
        if len(call.args) < 2:
            continue
        view = call.args[1]
        if _is_logout(view):  # told of what is written, which another pass over the file finds
            source.tell(call, "LogoutView takes POST only since Django 5.0: log out with a form", must=False)
        named = dotted_name(view) or (str(view.value) if isinstance(view, ast.Constant) else "")
        class_name = local.get(named) or (
            VIEWS.get(named.removeprefix(MODULE + ".")) if named.startswith(MODULE) else None
        )
        if class_name is None:
            continue
        if _write_class(source, call, view, class_name):
            done.add(named)
    for node in imports_from(source, MODULE):
        functions = {alias.name for alias in node.names if alias.name in VIEWS and not alias.asname}
        finished = {name for name in functions if name in done and _uses(source, name) == _routes(source, name)}
        if finished:
            names = [VIEWS[alias.name] if alias.name in finished else alias.name for alias in node.names]
            import_otherwise(source, node, [(MODULE, name) for name in names])
        for name in sorted(functions - finished):
            source.tell(node, f"{MODULE}.{name} is gone: write {VIEWS[name]}.as_view()")


def _local_names(source: Source) -> dict[str, str]:
    """What the file calls the functions -> the class."""
    found = {f"{MODULE}.{name}": class_name for name, class_name in VIEWS.items()}
    for node in imports_from(source, MODULE):
        found |= {alias.name: VIEWS[alias.name] for alias in node.names if alias.name in VIEWS and not alias.asname}
    for node in imports_from(source, "django.contrib.auth"):
        for alias in node.names:
            if alias.name == "views":
                found |= {f"{alias.asname or 'views'}.{name}": class_name for name, class_name in VIEWS.items()}
    return found


def _is_logout(view: ast.expr) -> bool:
    return (
        isinstance(view, ast.Call)
        and isinstance(view.func, ast.Attribute)
        and view.func.attr == "as_view"
        and last_name(view.func.value) == "LogoutView"
    )


def _uses(source: Source, name: str) -> int:
    return sum(isinstance(node, ast.Name) and node.id == name for node in source.nodes)


def _routes(source: Source, name: str) -> int:
    return sum(
        len(call.args) > 1 and isinstance(call.args[1], ast.Name) and call.args[1].id == name
        for call in source.calls("url", "re_path", "path")
    )


def _write_class(source: Source, call: ast.Call, view: ast.expr, class_name: str) -> bool:
    options = call.args[2] if len(call.args) > 2 else next((k.value for k in call.keywords if k.arg == "kwargs"), None)
    arguments = ""
    if options is not None:
        pairs = list(zip(options.keys, options.values, strict=True)) if isinstance(options, ast.Dict) else []
        names = [str(key.value) if isinstance(key, ast.Constant) else "" for key, _ in pairs]
        if not names or len(call.args) < 3 or any(name not in ARGUMENTS for name in names):
            source.tell(call, f"{source.of(view)} is gone: write {class_name}.as_view() with what it is given here")
            return False
        arguments = ", ".join(f"{name}={source.of(value)}" for name, (_, value) in zip(names, pairs, strict=True))
    start, end = source.span(view)
    module = source.of(view.value) + "." if isinstance(view, ast.Attribute) else ""
    if isinstance(view, ast.Constant):
        add_import(source, f"from {MODULE} import {class_name}")
    source.replace(
        start, source.span(options)[1] if options is not None else end, f"{module}{class_name}.as_view({arguments})"
    )
    return True


FIXER = Fixer("auth_views", "login, logout and the password views of django.contrib.auth", _fix)
