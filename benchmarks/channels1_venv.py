"""A virtual environment for Channels 1.1.8 with Daphne and asgi_redis, which run on no current library."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = (
    "channels==1.1.8",
    "daphne==1.4.2",
    "asgi_redis==1.4.3",
    "asgiref==1.1.2",
    "django==1.11.29",
    "redis==2.10.6",
    "msgpack-python==0.5.6",
    "six",
)
# msgpack 0.5.6 compiles up to 3.7; later it falls back on pure Python, which would make asgi_redis look slow.
PYTHONS = ("3.7", "3.6", "3.8", "3.9", "3.10")
FACTS = """
import platform, msgpack, pkg_resources
names = ("channels", "daphne", "asgi_redis", "asgiref", "django", "twisted", "autobahn", "redis")
found = ["%s %s" % (name, pkg_resources.get_distribution(name).version) for name in names]
packer = "compiled" if "fallback" not in msgpack.Packer.__module__ else "pure Python"
found.append("msgpack %s (%s)" % (".".join(map(str, msgpack.version)), packer))
found.append("%s %s" % (platform.python_implementation(), platform.python_version()))
print(", ".join(found))
"""
FOLDER = Path(__file__).resolve().parent.parent / ".venvs" / "channels1"


class Missing(Exception):
    """It cannot be had here."""


def prepare(folder: Path = FOLDER) -> tuple[Path, str]:
    """The interpreter of an environment in ``folder``, made if it is not there, and what is in it. Or ``Missing``."""
    python = folder / "bin" / "python"
    if python.exists():
        try:
            return python, _facts(python)
        except Missing:
            shutil.rmtree(folder)
    trouble = f"none of Python {', '.join(PYTHONS)} was found"
    for candidate in _candidates():
        try:
            _run([str(candidate), "-m", "venv", str(folder)])
            _run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES])
            return python, _facts(python)
        except Missing as error:
            trouble = f"{candidate.name}: {error}"
            shutil.rmtree(folder, ignore_errors=True)
    raise Missing(trouble)


def _candidates() -> list[Path]:
    """Old Pythons on this machine, the best first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = []
    for version in PYTHONS:
        on_path = shutil.which(f"python{version}")
        found += sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)
        found += [Path(on_path)] if on_path else []
    return found


def _facts(python: Path) -> str:
    return _run([str(python), "-W", "ignore", "-c", FACTS]).strip()


def _run(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise Missing(lines[-1] if lines else f"{command[0]} failed")
    return done.stdout
