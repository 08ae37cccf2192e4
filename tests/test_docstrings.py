"""Public names say what they take, give and raise.

A module is public when no part of its name begins with an underscore, and so is a function, a class, or a method of a
public class. Not looked at: what overrides a documented method, special methods (the parameters of ``__init__`` belong
to the docstring of its class), the hooks of Django's commands, and migrations.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.unit.django.settings")
django.setup()

ROOT = Path(__file__).resolve().parent.parent

Function = ast.FunctionDef | ast.AsyncFunctionDef

#: How a first line begins that names what is returned.
NAMING = re.compile(
    r"(The|Whether|An?|Each|Every|All|One|What|Which|Where|When|Who|How (many|much|long|often)|Seconds|Bytes|Names|"
    r"True|False|None|Returns?|Yields?)\b|``"
)

#: Decorators of what is read like an attribute, and so takes and returns nothing that a line could not say.
PROPERTIES = ("property", "cached_property", "_made_once")

#: Where a second sentence begins.
SECOND_SENTENCE = re.compile(r"[.?!] (?=[A-Z`])")


def public(name: str) -> bool:
    return not name.startswith("_")


def sources() -> list[tuple[str, Path]]:
    """Each public module with its file."""
    found = []
    for package in ("routechan", "routechan_django"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if all(map(public, parts)) and "migrations" not in parts:
                found.append((".".join(parts), path))
    return found


def decorators(node: Function | ast.ClassDef) -> set[str]:
    """The last part of the name of each decorator."""
    called = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    return {ast.unparse(item).rpartition(".")[2] for item in called}


def parameters(node: Function, *, method: bool) -> list[str]:
    """The names a caller can give; not ``*args``, ``**kwargs`` and those that begin with an underscore."""
    given = [item.arg for item in (*node.args.posonlyargs, *node.args.args)]
    if method and "staticmethod" not in decorators(node):
        given = given[1:]
    return [name for name in (*given, *(item.arg for item in node.args.kwonlyargs)) if public(name)]


def fields(node: ast.ClassDef) -> list[str]:
    """The parameters that a dataclass or a named tuple has without an ``__init__``."""
    if "dataclass" not in decorators(node) and "NamedTuple" not in {ast.unparse(base) for base in node.bases}:
        return []
    annotated = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return [
        item.target.id  # type: ignore[union-attr]
        for item in annotated
        if public(item.target.id) and "init=False" not in ast.unparse(item)  # type: ignore[union-attr]
    ]


def raised(node: Function) -> set[str]:
    """The exceptions that a function makes and raises itself."""
    found = set()
    waiting: list[ast.AST] = [*node.body]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        waiting += ast.iter_child_nodes(item)
        if isinstance(item, ast.Raise) and item.exc is not None:
            made = item.exc.func if isinstance(item.exc, ast.Call) else item.exc
            name = ast.unparse(made).rpartition(".")[2]
            if name[:1].isupper() and name != "NotImplementedError":
                found.add(name)
    return found


def names_parameter(text: str, name: str, source: str = "") -> bool:
    """Whether a docstring documents a parameter: in ``Args:``, in double backticks, or as a field under ``#:``."""
    arguments = re.search(r"^\s*Args:\n((?:\s+.*\n?|\n)*)", text, re.MULTILINE)
    return bool(
        re.search(rf"``\*{{0,2}}{name}(?:\W[^`]*)?``", text)
        or (
            arguments
            and re.search(rf"^\s+(?:[\w*]+, )*{name}(?:, [\w*]+)*(?: \([^)]*\))?:", arguments[1], re.MULTILINE)
        )
        or re.search(rf"^ *#: .*\n(?: *#: .*\n)* *{name}\b", source, re.MULTILINE)
    )


def returns(node: Function) -> bool:
    """Whether a call gives something that has to be told."""
    said = ast.unparse(node.returns) if node.returns is not None else "None"
    if decorators(node) & {"contextmanager", "asynccontextmanager", "fixture"}:
        return False
    return said not in ("None", "NoReturn", "Never", "typing.NoReturn", "'None'")


def about_line(text: str | None) -> Iterator[str]:
    """What is wrong with the first line of a docstring."""
    if not text or not text.strip():
        yield "has no docstring"
        return
    line = text.strip().splitlines()[0]
    first, *lifetime = re.split(r"Lifetime(?: of an instance)?:", line, maxsplit=1)  # it may follow in the same line
    if lifetime and not first:
        yield f"its first line does not name it: {line!r}"
        return
    first = first.rstrip()
    if not first.endswith("."):
        yield f"its first line does not end with a full stop: {first!r}"
    if SECOND_SENTENCE.search(first):
        yield f"its first line is more than one sentence: {first!r}"


def about_function(node: Function, *, method: bool) -> Iterator[str]:
    """What the docstring of a function or a method does not say."""
    text = ast.get_docstring(node)
    yield from about_line(text)
    if not text or decorators(node) & set(PROPERTIES):
        return
    for name in parameters(node, method=method) if "fixture" not in decorators(node) else ():
        if not names_parameter(text, name):
            yield f"does not say what {name} is"
    if returns(node) and not re.search(r"^\s*(Returns|Yields):", text, re.MULTILINE) and not NAMING.match(text):
        yield f"does not say what it returns: {text.splitlines()[0]!r}"
    for name in sorted(raised(node)):
        if not re.search(rf"\b{name}\b", text):
            yield f"does not say that it raises {name}"


def about_class(node: ast.ClassDef, source: str) -> Iterator[str]:
    """What the docstring of a class does not say; that of its ``__init__`` counts too."""
    text = ast.get_docstring(node)
    yield from about_line(text)
    init = next((item for item in node.body if isinstance(item, Function) and item.name == "__init__"), None)
    both = (text or "") + "\n" + ((ast.get_docstring(init) or "") if init else "")
    if not text:
        return
    body = ast.get_source_segment(source, node) or ""
    for name in parameters(init, method=True) if init else fields(node):
        if not names_parameter(both, name, body):
            yield f"does not say what {name} is"
    for name in sorted(raised(init)) if init else ():
        if not re.search(rf"\b{name}\b", both):
            yield f"does not say that making one raises {name}"


def overrides(found: type | None, name: str) -> bool:
    """Whether a base documents the method, or is a command of Django, which says elsewhere what it calls."""
    for base in found.__mro__[1:] if found is not None else ():
        inherited = base.__dict__.get(name)
        if inherited is not None and base is not object:
            inherited = getattr(inherited, "__func__", inherited)
            if inspect.getdoc(inherited) or base.__module__.startswith("django.core.management"):
                return True
    return False


def offences(source: str, module: ModuleType | None = None) -> Iterator[tuple[int, str]]:
    """Each offence of a module: its line, and what is wrong."""
    tree = ast.parse(source)
    if source.strip():
        yield from ((1, f"the module {wrong}") for wrong in about_line(ast.get_docstring(tree)))
    for node in tree.body:
        if isinstance(node, Function) and public(node.name) and "overload" not in decorators(node):
            yield from ((node.lineno, f"{node.name} {wrong}") for wrong in about_function(node, method=False))
        elif isinstance(node, ast.ClassDef) and public(node.name):
            yield from in_class(node, source, getattr(module, node.name, None), node.name)


def in_class(node: ast.ClassDef, source: str, found: type | None, name: str) -> Iterator[tuple[int, str]]:
    yield from ((node.lineno, f"{name} {wrong}") for wrong in about_class(node, source))
    for item in node.body:
        if isinstance(item, ast.ClassDef) and public(item.name) and item.name != "Meta":
            yield from in_class(item, source, getattr(found, item.name, None), f"{name}.{item.name}")
        if not isinstance(item, Function) or not public(item.name) or overrides(found, item.name):
            continue
        if not decorators(item) & {"overload", "setter", "deleter"}:
            yield from ((item.lineno, f"{name}.{item.name} {wrong}") for wrong in about_function(item, method=True))


def test_public_names_are_documented() -> None:
    """Each public name says its parameters, its result and its errors, in plain sentences."""
    found = []
    for name, path in sources():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # names of 1.x that it deprecated itself
            module = importlib.import_module(name)
        for line, wrong in offences(path.read_text(), module):
            found.append(f"{path.relative_to(ROOT)}:{line}: {wrong}")
    assert not found, f"{len(found)} docstrings:\n" + "\n".join(found)


#: What is right, and what is not, each with the words of the complaint.
RIGHT = '''
"""A module."""

def size(path, *, unit):
    """The size of the file ``path`` in ``unit``."""

def move(path: str, to: str) -> int:
    """Move a file.

    Args:
        path: the file, absolute.
        to: the folder.

    Returns:
        The bytes it has.

    Raises:
        ValueError: ``to`` is no folder.
    """
    if not to:
        raise ValueError(to)

def pass_on(**kwargs):
    """Hand everything on."""
    try:
        kwargs["a"]()
    except OSError as error:
        raise

class Point(NamedTuple):
    """A place on a screen: ``x`` to the right."""
    x: int
    #: Downwards, in pixels.
    y: int

class Reader:
    """Reads a file. Lifetime: message. Thread-safe."""

    def __init__(self, path):
        """``path`` is absolute."""

    def _close(self, now): ...

    def __iter__(self): ...

    @property
    def name(self) -> str:
        """How it is called."""
'''
WRONG = {
    "the module has no docstring": "x = 1",
    "size has no docstring": "def size(): ...",
    "size does not say what unit is": 'def size(unit):\n    """Measure it."""',
    "move does not say what to is": 'def move(path, to):\n    """Move it.\n\n    Args:\n        path: a file.\n    """',
    "size does not say what it returns": 'def size() -> int:\n    """Measure it."""',
    "size does not say that it raises ValueError": 'def size():\n    """Measure it."""\n    raise ValueError("no")',
    "its first line does not end with a full stop": 'def size():\n    """Measure it"""',
    "its first line does not name it": 'class Reader:\n    """Lifetime: process."""',
    "its first line is more than one sentence": 'def size():\n    """Measure it. Then stop."""',
    "Reader does not say what path is": 'class Reader:\n    """It."""\n    def __init__(self, path): ...',
    "Reader does not say that making one raises OSError": (
        'class Reader:\n    """It."""\n    def __init__(self):\n        raise OSError'
    ),
    "Reader.read does not say what size is": (
        'class Reader:\n    """It."""\n    def read(self, size):\n        """Read."""'
    ),
    "Point does not say what y is": '@dataclass\nclass Point:\n    """``x``."""\n    x: int\n    y: int',
}


def test_what_is_right() -> None:
    """Each way to document a parameter, a result and an error is taken."""
    assert list(offences(RIGHT)) == []


@pytest.mark.parametrize("complaint", WRONG)
def test_what_is_wrong(complaint: str) -> None:
    """Each rule finds what breaks it."""
    head = "" if complaint.startswith("the module") else '"""A module."""\n'
    wrong = [text for _, text in offences(head + WRONG[complaint])]
    assert any(complaint in text for text in wrong), wrong


def test_an_override_needs_no_docstring() -> None:
    """What a base says of a method, in our packages or elsewhere, is not said again."""
    source = (
        '"""A module."""\nclass Sub(Base):\n    """It."""\n    def close(self, now): ...\n    def open(self): ...\n'
    )

    class Base:
        def close(self, now: int) -> None:
            """Close it at ``now``."""

    module = ModuleType("module")
    module.__dict__["Sub"] = type("Sub", (Base,), {"close": lambda self, now: None, "open": lambda self: None})
    assert [text for _, text in offences(source, module)] == ["Sub.open has no docstring"]
