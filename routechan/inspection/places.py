"""Where code stands: the lines of a project, among those of Python, of installed packages and of this library."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import sysconfig
import traceback
from types import CodeType, FrameType

_PACKAGE = os.path.dirname(os.path.dirname(__file__))

#: Where the code is that imports the user's, and where that of others is.
_OURS = ("<frozen", _PACKAGE + os.sep, _PACKAGE + "_django" + os.sep, os.path.dirname(importlib.__file__) + os.sep)
_INSTALLED = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")})


def raised_at(error: BaseException) -> str:
    """Where in the user's own code ``error`` was raised, as the end of a sentence; empty where that is not known.

    A module that cannot be imported has its mistake there, and a server's log need not have the traceback.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f" (in {error.filename}, line {error.lineno})"
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(_OURS)
    ]
    users = [found for found in frames if is_of_project(found[0])] or frames[:1]
    return f" (in {users[-1][0]}, line {users[-1][1]})" if users else ""


def imported_by() -> str:
    """The lines of modules that are being imported now, innermost first: " by FILE:LINE, by FILE:LINE"; "" for none.

    Those of this library, of installed packages and of the import system are left out.
    """
    frame: FrameType | None = sys._getframe(1)
    places = []
    while frame is not None:
        if frame.f_code.co_name == "<module>" and is_of_project(frame.f_code.co_filename):
            places.append(f" by {frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return ",".join(places[:3])


def is_of_project(filename: str) -> bool:
    """Whether code of the file ``filename`` is the user's: not Python's, an installed package's or this library's."""
    return not (
        filename.startswith((*_OURS, *_INSTALLED)) or "site-packages" in filename or "dist-packages" in filename
    )


def place_of(code: CodeType | None, instruction: int) -> str | None:
    """The line ``FILE:LINE`` of an ``instruction`` of ``code``; None where that is this library's or asyncio's."""
    if code is None or code.co_filename.startswith((*_OURS, os.path.dirname(asyncio.__file__) + os.sep)):
        return None
    lines = (line for start, end, line in code.co_lines() if start <= instruction < end)
    return f"{code.co_filename}:{next(lines, None) or code.co_firstlineno}"
