"""``python -m routechan_django.alias SCRIPT ...`` or ``-m MODULE ...``: run an unchanged project of 1.x."""

from __future__ import annotations

import os
import runpy
import sys

from django.utils import autoreload

from .install import install

USAGE = """usage: python -m routechan_django.alias manage.py ...
       python -m routechan_django.alias -m uvicorn project.asgi:channel_layer"""


def main() -> None:
    arguments = sys.argv[1:]
    as_module = arguments[:1] == ["-m"]
    if not arguments[as_module:]:
        sys.exit(USAGE)
    install()
    # The reloader of runserver starts this very command again, which the module it looks at does not tell it.
    autoreload.get_child_arguments = lambda: [sys.executable, *sys.orig_argv[1:]]
    sys.argv = arguments[as_module:]
    if as_module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
