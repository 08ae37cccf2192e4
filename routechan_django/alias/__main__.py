"""``python -m routechan_django.alias SCRIPT ...`` or ``-m MODULE ...``: run an unchanged project of 1.x."""

from __future__ import annotations

import multiprocessing.spawn
import os
import runpy
import sys
from collections.abc import Callable
from typing import Any

from django.utils import autoreload

from .install import install

USAGE = """usage: python -m routechan_django.alias manage.py ...
       python -m routechan_django.alias -m uvicorn project.asgi:channel_layer"""


def main() -> None:
    """Install the old names, then run the script or module that the command line names."""
    arguments = sys.argv[1:]
    as_module = arguments[:1] == ["-m"]
    if not arguments[as_module:]:
        sys.exit(USAGE)
    install()
    # The reloader of runserver has to start this command line again, which it cannot tell from ``__main__``.
    autoreload.get_child_arguments = lambda: [sys.executable, *sys.orig_argv[1:]]
    _install_in_spawned_processes()
    sys.argv = arguments[as_module:]
    if as_module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")


class _Install:
    """Calls ``install`` where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return install, ()


def _install_in_spawned_processes() -> None:
    """Have the processes that multiprocessing spawns install the old names too.

    Servers with several workers, or a reloader, import the project in such processes. Each unpickles the data of its
    parent before it imports anything else.
    """
    preparation_data = multiprocessing.spawn.get_preparation_data

    def with_old_names(name: str) -> dict[str, Any]:
        return {**preparation_data(name), "routechan_django.alias": _Install()}

    multiprocessing.spawn.get_preparation_data = with_old_names


if __name__ == "__main__":
    main()
