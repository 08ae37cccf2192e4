"""``name_that_thing``: readable names for consumers."""

from __future__ import annotations

import functools
from typing import Any
from unittest import mock

import pytest

from routechan.describe import name_that_thing

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
        (function, f"{HERE}.function"),
        (Class, f"{HERE}.Class"),
        (lambda: None, f"{HERE}.<lambda>"),
        (Class.static_method, f"{HERE}.static_method"),
    ],
)
def test_functions_and_classes(thing: Any, name: str) -> None:
    """UT-01: functions, classes, lambdas and static methods are ``module.name``, not qualified."""
    assert name_that_thing(thing) == name


def test_class_method() -> None:
    """UT-02: a method bound to a class is ``module.Class``."""
    assert name_that_thing(Class.class_method) == f"{HERE}.Class"


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Class(), f"{HERE}.Class"),
        (Named(), f"{HERE}.Named"),
        (functools.partial(function), "functools.partial"),
        (None, "builtins.NoneType"),
        (3, "builtins.int"),
        ("text", "builtins.str"),
    ],
)
def test_instances(thing: Any, name: str) -> None:
    """UT-03: anything else is ``module.Class`` of its class, also with a ``__name__`` of its own."""
    assert name_that_thing(thing) == name


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Class().method, f"{HERE}.Class.method"),
        (len, "builtins.len"),
        ([].append, "builtins.list.append"),
    ],
)
def test_bound_methods_and_builtins(thing: Any, name: str) -> None:
    """UT-04, WK-31, OB-05: 1.x failed with ``AttributeError`` on these, and a worker with it."""
    assert name_that_thing(thing) == name


def test_mock() -> None:
    """UT-05: 1.x said ``<mock>``; a mock is an instance like any other here."""
    assert name_that_thing(mock.Mock()) == "unittest.mock.Mock"
    assert name_that_thing(mock.Mock(name="consumer")) == "unittest.mock.Mock"
