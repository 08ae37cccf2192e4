"""``accept``: connect consumers of Channels 0.x, which did not have to accept a socket."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePath

from ..project import Project
from ..source import Source, last_name
from .base import Fixer

CLASSES = ("WebsocketConsumer", "WebsocketDemultiplexer")
DECORATORS = (
    *("allowed_hosts_only", "channel_and_http_session", "channel_and_http_session_user_from_http", "channel_session"),
    *("channel_session_user", "channel_session_user_from_http", "enforce_ordering", "http_session"),
    "http_session_user",
)
ADVICE = "since Channels 1.0 it has to accept the socket, or close it: see that a helper does"
ROW = "LD-07"


def _fix(source: Source, project: Project) -> None:
    """Accept at the beginning, where nothing in the project has ever accepted a socket."""
    before_1 = not project.mentioned(r"[\"']accept[\"']")
    for function, message in _connect_consumers(source, project):
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        if _answers(function, calls):
            continue
        if any(_is_given(call, message) for call in calls) or not _is_decorated_as_usual(function):
            if before_1:
                source.tell(function, f"{function.name}: {ADVICE}", ROW)
            continue
        quote = "'" if source.text.count("'") > source.text.count('"') else '"'
        first = function.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(function.body) > 1:
            first = function.body[1]
        indent = source.indent(first)
        if not before_1 or first.lineno == function.lineno or not indent:
            source.tell(function, f"{function.name}: {ADVICE}", ROW)
            continue
        statement = f"{message}.reply_channel.send({{{quote}accept{quote}: True}})"
        if isinstance(first, ast.Pass):
            source.replace_node(first, statement)
        else:
            start = _above_comments(source, first)
            source.replace(start, start, f"{indent}{statement}\n")


def _above_comments(source: Source, node: ast.stmt) -> int:
    """Where the line of ``node`` begins, or the first of the comments directly above it."""
    start, _ = source.line_span(source.span(node)[0])
    while start:
        above, _ = source.line_span(start - 1)
        if not source.text[above:start].lstrip().startswith("#"):
            break
        start = above
    return start


def _connect_consumers(source: Source, project: Project) -> Iterator[tuple[ast.FunctionDef, str]]:
    """The functions and methods that consume connects, with what they call the message."""
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef) and node.args.args and node.name in project.routed("websocket.connect"):
            yield node, node.args.args[0].arg
        elif isinstance(node, ast.ClassDef) and any(last_name(base).endswith(CLASSES) for base in node.bases):
            if not project.mentions(rf"\b{node.name}\.as_route\b|\broute_class\(\s*(\w+\.)*{node.name}\b", PurePath()):
                continue  # a demultiplexer accepts for it
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "connect" and len(item.args.args) > 1:
                    yield item, item.args.args[1].arg


def _answers(function: ast.FunctionDef, calls: list[ast.Call]) -> bool:
    """Whether a consumer may answer: it sends to the reply channel, calls its base, raises, or is a generator."""
    if any(isinstance(node, ast.Raise | ast.Yield) for node in ast.walk(function)):
        return True
    for call in calls:
        text = ast.unparse(call.func)
        if (
            "reply_channel" in text
            or text.startswith(("super", "self.send", "self.close"))
            or text.endswith(".connect")
        ):
            return True
    return False


def _is_decorated_as_usual(function: ast.FunctionDef) -> bool:
    decorators = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return all(last_name(node) in DECORATORS for node in decorators)


def _is_given(call: ast.Call, message: str) -> bool:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(isinstance(argument, ast.Name) and argument.id == message for argument in arguments)


FIXER = Fixer("accept", "connect consumers of Channels 0.x, which did not accept", _fix)
