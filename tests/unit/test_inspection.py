"""What a callable is: the kind of a consumer, its readable name, and what its dotted path names."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from routechan import Message
from routechan.exceptions import RoutingError
from routechan.inspection import Kind, import_dotted, kind_of, name_that_thing

HERE = __name__


def function() -> None: ...


class Class:
    def method(self) -> None: ...

    @classmethod
    def class_method(cls) -> None: ...

    @staticmethod
    def static_method() -> None: ...

    def __call__(self) -> None: ...


class Named:
    __name__ = "someone"


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        # UT-01: functions, classes, lambdas and static methods are ``module.name``, not qualified.
        (function, f"{HERE}.function"),
        (Class, f"{HERE}.Class"),
        (lambda: None, f"{HERE}.<lambda>"),
        (Class.static_method, f"{HERE}.static_method"),
        # UT-02: a method bound to a class is ``module.Class``.
        (Class.class_method, f"{HERE}.Class"),
        # UT-03: anything else is ``module.Class`` of its class, also with a ``__name__`` of its own.
        (Class(), f"{HERE}.Class"),
        (Named(), f"{HERE}.Named"),
        (functools.partial(function), "functools.partial"),
        (None, "builtins.NoneType"),
        (3, "builtins.int"),
        ("text", "builtins.str"),
        # UT-04, WK-31, OB-05: 1.x failed with ``AttributeError`` on bound methods and builtins, and a worker with it.
        (Class().method, f"{HERE}.Class.method"),
        (len, "builtins.len"),
        ([].append, "builtins.list.append"),
        # UT-05: 1.x said ``<mock>``; a mock is an instance like any other here.
        (mock.Mock(), "unittest.mock.Mock"),
        (mock.Mock(name="consumer"), "unittest.mock.Mock"),
    ],
)
def test_name_that_thing(thing: Any, name: str) -> None:
    """UT-01 to UT-05: a readable name for whatever may be a consumer, or be taken for one."""
    assert name_that_thing(thing) == name


def plain(message: Message) -> None: ...


async def an_async(message: Message) -> None: ...


def a_stream(message: Message) -> Iterator[dict[str, Any]]:
    yield {}


async def an_async_stream(message: Message) -> AsyncIterator[dict[str, Any]]:
    yield {}


class Callables:
    def __init__(self, message: Message | None = None) -> None: ...

    def plain(self, message: Message) -> None: ...

    async def an_async(self, message: Message) -> None: ...

    @classmethod
    def a_stream(cls, message: Message) -> Iterator[dict[str, Any]]:
        yield {}

    @staticmethod
    async def an_async_stream(message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {}


class CallablePlain:
    def __call__(self, message: Message) -> None: ...


class CallableAsync:
    async def __call__(self, message: Message) -> None: ...


class CallableStream:
    def __call__(self, message: Message) -> Iterator[dict[str, Any]]:
        yield {}


class CallableAsyncStream:
    async def __call__(self, message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {}


@functools.wraps(an_async)
def wrapper(message: Message) -> Any:
    return an_async(message)


@pytest.mark.parametrize(
    ("consumer", "kind"),
    [
        (plain, Kind.PLAIN),
        (an_async, Kind.ASYNC),
        (a_stream, Kind.STREAM),
        (an_async_stream, Kind.ASYNC_STREAM),
        (Callables().plain, Kind.PLAIN),
        (Callables().an_async, Kind.ASYNC),
        (Callables.a_stream, Kind.STREAM),
        (Callables.an_async_stream, Kind.ASYNC_STREAM),
        (CallablePlain(), Kind.PLAIN),
        (CallableAsync(), Kind.ASYNC),
        (CallableStream(), Kind.STREAM),
        (CallableAsyncStream(), Kind.ASYNC_STREAM),
        (functools.partial(functools.partial(an_async)), Kind.ASYNC),
        (functools.partial(a_stream), Kind.STREAM),
        (functools.partial(CallableAsync()), Kind.ASYNC),
        (Callables, Kind.PLAIN),
        (CallableAsync, Kind.PLAIN),
        (len, Kind.PLAIN),
        (wrapper, Kind.PLAIN),
    ],
)
def test_kinds(consumer: Any, kind: Kind) -> None:
    """How a consumer runs is decided by what it is, through partials, methods and callable objects."""
    assert kind_of(consumer) is kind


def test_kind_of_an_unhashable_consumer() -> None:
    """A callable object that cannot be hashed, such as an instance of a dataclass, is a consumer too."""

    class Unhashable:
        __hash__ = None

        async def __call__(self, message: Message) -> None: ...

    assert kind_of(Unhashable()) is Kind.ASYNC


BROKEN = {
    "in the module itself": ("import os\n\n\n1 / 0\n", "ZeroDivisionError: division by zero", 4),
    "in a route": (
        "from routechan import route\nx = [\n    route('websocket.connect', 3),\n]\n",
        "RoutingError: the consumer of websocket.connect is 3",
        3,
    ),
    "in the library's or Python's code": (
        "import json\n\ndef load():\n    return json.loads('{')\n\nload()\n",
        "JSONDecodeError: ",
        4,
    ),
    "not Python": ("x = [\n  1,\n", "SyntaxError: '[' was never closed", 1),
    "the end of the process": ("import sys\nsys.exit(3)\n", "SystemExit: 3", 2),
    "an import of its own": ("x = 1\nimport nowhere_at_all\n", "No module named 'nowhere_at_all'", 2),
    "a name": ("from os import nowhere_at_all\n", "cannot import name 'nowhere_at_all'", 1),
}


@pytest.mark.parametrize(("text", "said", "line"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("below", [False, True], ids=["named", "imported by the named one"])
def test_where_a_module_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str, line: int, below: bool
) -> None:
    """A routing that cannot be imported: the error names the file and the line, of the module where the mistake is."""
    name = f"broken_{abs(hash((text, below)))}"
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    if below:
        (tmp_path / f"above_{name}.py").write_text(f"\nimport {name}\n")
        name = f"above_{name}"
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RoutingError) as caught:
        import_dotted(f"{name}.x", "routing")
    assert said in str(caught.value)
    assert str(caught.value).endswith(f" (in {file}, line {line})")


def test_where_nothing_of_the_users_raised() -> None:
    """A path that leads nowhere has no line: it stands in the settings."""
    with pytest.raises(RoutingError, match="No module named 'no_such_project'$"):
        import_dotted("no_such_project.routing.x", "routing")
