"""``leftovers``: small changes of Django, Python and Celery, and what no fixer can decide."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import PurePath

from ..project import Project
from ..source import Source, dotted_name, last_name
from ..statements import (
    import_otherwise,
    imports_from,
    is_guarded,
    is_rebound,
    remove_statement,
    rename_module,
    stands_alone,
    uses,
)
from .base import Fixer

IS_AJAX = '{}.headers.get("x-requested-with") == "XMLHttpRequest"'

#: Setting -> what to do.
SETTINGS: Mapping[str, str] = {
    "TEMPLATE_CONTEXT_PROCESSORS": "is read no more: write it in OPTIONS of TEMPLATES",
    "TEMPLATE_DEBUG": "is read no more: write it in OPTIONS of TEMPLATES, or take it out",
    "TEMPLATE_DIRS": "is read no more: write DIRS of TEMPLATES",
    "TEMPLATE_LOADERS": "is read no more: write it in OPTIONS of TEMPLATES",
}

#: Module, or what its name begins with -> what to do.
MODULES: Mapping[str, str] = {
    "autobahn": "nothing here needs it; a consumer, or a client of websockets, does its work",
    "celery.decorators": "gone since Celery 5; write shared_task, from celery",
    "celery.task": "gone since Celery 5; write shared_task, from celery, and beat_schedule for periodic_task",
    "daphne": "no part of this; an ASGI server serves project.asgi:application",
    "distutils": "gone from Python 3.12",
    "djcelery": "needs an old Celery; write a celery.py in the project, see Celery's documentation",
    "whitenoise.django": "gone since WhiteNoise 4; write WhiteNoiseMiddleware in MIDDLEWARE",
    "imp": "gone from Python 3.12; write importlib",
}

#: Relations, here and in packages of others, that need on_delete.
RELATIONS = ("ForeignKey", "OneToOneField", "ParentalKey", "TreeForeignKey", "TreeOneToOneField")

#: A command in a string, in a fabfile or the like.
SERVER = re.compile(r"\bdaphne\s.*:channel_layer\b")

PICKLE = "django.contrib.sessions.serializers.PickleSerializer"
REPLY_NAME = re.compile(r"daphne\.response|http\.response!|websocket\.send!")
OLD_META = re.compile(r"get_all_(field_names|related_objects\w*|related_many_to_many_objects)|get_field_by_name")
GETARGSPEC = ("args", "varargs", "defaults")


def _fix(source: Source, project: Project) -> None:
    """Change what can be changed safely, and name the rest."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                _tell_module(source, project, node, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module == "celery.task.schedules":
            rename_module(source, node, "celery.schedules")
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            _tell_module(source, project, node, node.module)
        elif isinstance(node, ast.Call):
            _fix_call(source, node)
        elif isinstance(node, ast.FunctionDef) and node.name == "from_db_value":
            _fix_from_db_value(source, node)
        elif isinstance(node, ast.ClassDef) and any(last_name(base).endswith("Demultiplexer") for base in node.bases):
            for item in node.body:
                if isinstance(item, ast.Assign) and [last_name(target) for target in item.targets] == ["mapping"]:
                    source.tell(
                        item, "mapping of a demultiplexer, before 1.0: write consumers = {stream: consumer class}"
                    )
        elif isinstance(node, ast.Attribute) and dotted_name(node).endswith(".rel.to"):
            source.tell(node, f"{dotted_name(node)}: fields have no rel: write remote_field.model")
        elif isinstance(node, ast.Attribute) and OLD_META.fullmatch(node.attr):
            source.tell(node, f"{node.attr} is gone from models' _meta: write get_fields()")
        elif isinstance(node, ast.Assign):
            _fix_setting(source, project, node)
    for string in source.strings():
        if string.value == PICKLE:
            source.tell(string, f"{PICKLE} is gone since Django 5.0: take the setting out, and keep JSON in sessions")
        elif REPLY_NAME.match(str(string.value)):
            source.tell(string, f"{string.value!r}: reply channels have other names", "6.1, DM-04")
        elif SERVER.search(str(string.value)):
            source.tell(string, f"{string.value!r}: write uvicorn, with its own options", "6.13, items 160, 161")
    _fix_tasks(source)


def _fix_setting(source: Source, project: Project, node: ast.Assign) -> None:
    names = [last_name(target) for target in node.targets]
    for name in names:
        if name in SETTINGS:
            source.tell(node, f"{name} {SETTINGS[name]}", must="TEMPLATES" not in project.names_in(source.path))
    if names == ["USE_L10N"] and stands_alone(source, node):
        if isinstance(node.value, ast.Constant) and node.value.value is True:
            remove_statement(source, node)
        else:
            source.tell(node, "USE_L10N has no effect since Django 5.0: dates and numbers are localised", must=False)
    if names == ["ROOT_URLCONF"] and not project.mentions("DEFAULT_AUTO_FIELD", PurePath()):
        advice = "write DEFAULT_AUTO_FIELD = 'django.db.models.AutoField', so that keys stay as they are"
        source.tell(node, f"there is no DEFAULT_AUTO_FIELD: {advice}", must=False)


def _tell_module(source: Source, project: Project, node: ast.stmt, name: str) -> None:
    for module, advice in MODULES.items():
        if name != module and not name.startswith(f"{module}."):
            continue
        if not (module.split(".")[0] in project.own_packages or is_guarded(source, node) or _is_task_import(node)):
            source.tell(node, f"{name}: {advice}")


def _fix_call(source: Source, node: ast.Call) -> None:
    name = last_name(node.func)
    if name == "is_ajax" and isinstance(node.func, ast.Attribute) and not node.args:
        request = source.of(node.func.value)
        if "request" in last_name(node.func.value).lower():
            new = IS_AJAX.format(request)
            simple = isinstance(
                source.parents[node], ast.If | ast.BoolOp | ast.Return | ast.Assign | ast.IfExp | ast.While
            )
            source.replace_node(node, new if simple else f"({new})")
        else:
            source.tell(node, f"{source.of(node)}: if this is a request, is_ajax is gone")
    elif dotted_name(node.func) == "inspect.getargspec":
        parent = source.parents[node]
        if isinstance(parent, ast.Attribute) and parent.attr in GETARGSPEC:
            source.replace_node(node.func, "inspect.getfullargspec")
        else:
            source.tell(node, "inspect.getargspec is gone: getfullargspec has three more items, or write signature")
    elif name == "HttpResponse":
        for keyword in node.keywords:
            if keyword.arg == "mimetype":
                start = source.span(keyword)[0]
                source.replace(start, start + len("mimetype"), "content_type")
    elif name in ("render_to_response", "render", "render_to_string") and "RequestContext" in source.text:
        _fix_render(source, node, name)
    elif name == "render" and node.args and isinstance(node.args[0], ast.Call) and "get_template" in source.text:
        if last_name(node.args[0].func) in ("Context", "RequestContext"):
            source.tell(
                node, f"{source.of(node)}: a template from a loader takes a dict, and the request after it", must=False
            )
    elif _lacks_on_delete(source, node, name):
        source.tell(node, f"{name} has no on_delete: write on_delete=models.CASCADE, which was its default")


def _fix_render(source: Source, node: ast.Call, name: str) -> None:
    """Take out the ``RequestContext`` of the request, which ``render`` makes by itself."""
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    contexts = [value for value in given if isinstance(value, ast.Call) and last_name(value.func) == "RequestContext"]
    if len(contexts) != 1:
        return
    (context,) = contexts
    position = node.args.index(context) if context in node.args else None
    simple = name == "render" and not context.keywords and bool(context.args and node.args)
    simple = simple and source.of(node.args[0]) == source.of(context.args[0])
    if simple and len(context.args) == 2 and position == 2:
        source.replace_node(context, source.of(context.args[1]))
    elif simple and len(context.args) == 1 and given[-1] is context and len(given) > 2:
        source.replace(source.span(given[-2])[1], source.span(context)[1], "")
    else:
        source.tell(node, f"{name} takes no RequestContext: write render(request, template, context)")


def _lacks_on_delete(source: Source, node: ast.Call, name: str) -> bool:
    """Whether a relation of a model is left without ``on_delete``, by a name that django-upgrade does not know."""
    if name not in RELATIONS or "django" not in source.text or "sqlalchemy" in source.text:
        return False
    return len(node.args) < 2 and "on_delete" not in _keywords(node) and bool(node.args or "to" in _keywords(node))


def _keywords(node: ast.Call) -> list[str | None]:
    return [keyword.arg for keyword in node.keywords]


def _fix_from_db_value(source: Source, node: ast.FunctionDef) -> None:
    """Take out the argument ``context``, which Django gives no more."""
    arguments = node.args.args
    if len(arguments) != 5 or node.args.defaults or node.args.vararg:
        return
    last = arguments[-1]
    if any(isinstance(child, ast.Name) and child.id == last.arg for child in ast.walk(node)):
        source.tell(node, f"from_db_value gets no {last.arg} any more, and this uses it")
        return
    source.replace(source.span(arguments[-2])[1], source.span(last)[1], "")


def _is_task_import(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.ImportFrom)
        and node.module in ("celery", "celery.task", "celery.decorators")
        and [alias.name for alias in node.names] == ["task"]
    )


def _fix_tasks(source: Source) -> None:
    """``task`` of Celery is ``shared_task``."""
    for node in imports_from(source, "celery", "celery.task", "celery.decorators"):
        if not any(alias.name == "task" for alias in node.names):
            continue
        asname = any(alias.asname for alias in node.names if alias.name == "task")
        if (node.module != "celery" and not _is_task_import(node)) or asname or is_rebound(source, "task"):
            source.tell(node, "task is gone from Celery: write shared_task")
            continue
        names = ["shared_task" if alias.name == "task" else alias.name for alias in node.names]
        import_otherwise(source, node, [("celery", name) for name in names])
        for use in uses(source, "task"):
            source.replace_node(use, "shared_task")


FIXER = Fixer("leftovers", "small changes of Django, Python and Celery; what no other fixer decides", _fix)
