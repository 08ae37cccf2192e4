"""What a thing is called, in errors and log lines."""

from __future__ import annotations


def name_that_thing(thing: object) -> str:
    """The readable name of ``thing``: ``module.name`` of a function or class, else ``module.Class`` (UT-01 to UT-03).

    A bound method is ``module.Class.method`` and a built-in ``module.name``; 1.x failed on both (UT-04).
    """
    owner = getattr(thing, "__self__", None)
    if isinstance(owner, type):
        return name_that_thing(owner)
    name = getattr(thing, "__name__", None)
    if owner is not None and isinstance(name, str) and not _is_module(owner):
        return f"{name_that_thing(type(owner))}.{name}"
    if isinstance(name, str) and (isinstance(thing, type) or hasattr(thing, "__qualname__")):
        return f"{getattr(thing, '__module__', None) or 'builtins'}.{name}"
    kind = type(thing)
    return f"{kind.__module__}.{kind.__name__}"


def _is_module(thing: object) -> bool:
    return type(thing).__name__ == "module"
