"""Does what a page says, as its reader would, in a folder of its own."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from tests.documents import all_blocks, lacks_types
from tests.processes import ROOT, ServerProcess, free_port

#: What a reader types where Django asks for a password.
PASSWORD = "a secret of ours"

#: Commands that make what the environment of the tests has already.
INSTALLS = re.compile(r"python3 -m venv |\. venv/bin/activate|pip install |playwright install ")

#: Commands that go on until they are stopped.
SERVES = re.compile(
    r"python manage\.py (runserver|runworker)|python -m celery .* worker|(uvicorn|gunicorn|daphne|sudo nginx) "
)


class Command(ServerProcess):
    """A command of a page that goes on until it is stopped."""

    def __init__(self, arguments: list[str], port: int, folder: Path) -> None:
        super().__init__(arguments, port, cwd=folder)
        self.arguments = arguments


class Reader:
    """Writes a page's files, runs its commands, and leaves running what serves until the next page. Use with ``with``.

    Ports of the pages are replaced by free ones, the other values of ``replaced`` by what a test has.
    """

    def __init__(self, folder: Path, **replaced: str) -> None:
        self.folder = folder
        port = free_port(3)
        self.ports = {str(8000 + number): port + number for number in range(3)}
        self.replaced = replaced | {page: str(free) for page, free in self.ports.items()}
        self.served: list[Command] = []
        #: What becomes of the code of a file before it is written.
        self.written: Callable[[str], str] = lambda code: code
        self._running = ExitStack()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop what serves, the last first, and look at what it printed."""
        self._running.close()
        served, self.served = self.served, []
        assert [command.output for command in served if "Traceback" in command.output] == []

    def url(self, port: int = 8000) -> str:
        """The address that a page calls http://127.0.0.1:PORT."""
        return f"http://127.0.0.1:{self.ports[str(port)]}"

    def read(self, page: Path) -> None:
        """Do what the page says, from top to bottom."""
        self.stop()
        printed: str | None = None  # by the block before
        for block in all_blocks(page):
            code = self._with_replacements(block.code)
            if lacks_types(code) and not find_spec("celery"):
                continue
            if block.file:
                self.write(block.file, code, append=block.appended)
            elif block.language == "text" and printed is not None:
                assert code in printed
            printed = "".join(map(self.type, code.splitlines())) if block.language == "shell" else None

    def write(self, name: str, code: str, *, append: bool = False) -> None:
        """Write a file. A block for the settings replaces what it assigns, and adds the rest at the end."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/settings.py"):
            code = with_assignments(path.read_text(), code)
        elif append:
            code = f"{path.read_text()}\n{code}"
        path.write_text(self.written(code))

    def type(self, command: str) -> str:
        """Run a command; what it printed, or nothing where it goes on."""
        if INSTALLS.match(command):
            return ""
        if "manage.py createsuperuser" in command:
            command += " --noinput"
        if SERVES.match(command):
            if command.endswith("manage.py runserver"):
                command += f" {self.ports['8000']}"
            self._serve(command)
            return ""
        return self.run(command)

    def run(self, command: str) -> str:
        """What a command printed; fails with all of it where the command does."""
        arguments = self._arguments(command)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
        environment |= {"PYTHONPATH": str(ROOT), "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        finished = subprocess.run(
            arguments, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=110, check=False
        )
        assert finished.returncode == 0, f"{command}\n{finished.stdout}{finished.stderr}"
        assert "WARNINGS:" not in finished.stderr or "--deploy" in command, finished.stderr
        return finished.stdout + finished.stderr

    def _serve(self, command: str) -> None:
        # A worker has no port: the server that was started before it answers in its place.
        named = [port for port in self.ports.values() if str(port) in command]
        port = named[0] if named else self.served[0].port
        started = Command(self._arguments(command), port, self.folder)
        self.served.append(self._running.enter_context(started))
        if "runworker" in command:
            started.wait_until(lambda: "Listening on channels" in started.output, "it listens")

    def _arguments(self, command: str) -> list[str]:
        program, *rest = shlex.split(command.removeprefix("sudo ").replace('"$PWD"', shlex.quote(str(self.folder))))
        if program == "python":
            return [sys.executable, *rest]
        if program in ("django-admin", "uvicorn", "gunicorn", "daphne"):
            return [sys.executable, "-m", {"django-admin": "django"}.get(program, program), *rest]
        return [program, *rest]

    def _with_replacements(self, code: str) -> str:
        pattern = "|".join(rf"\b{re.escape(value)}\b" for value in self.replaced)
        return re.sub(pattern, lambda match: self.replaced[match[0]], code)


def with_assignments(old: str, new: str) -> str:
    """``old`` with each assignment of ``new`` in place of the one to the same name; the rest of ``new`` follows."""
    lines = old.splitlines()
    for statement in reversed(ast.parse(old).body):
        if targets_of(statement) and targets_of(statement) in map(targets_of, ast.parse(new).body):
            del lines[statement.lineno - 1 : statement.end_lineno]
    return "\n".join([*lines, "", new])


def targets_of(statement: ast.stmt) -> str:
    """The names that a statement assigns to; empty for another one."""
    return ", ".join(map(ast.unparse, statement.targets)) if isinstance(statement, ast.Assign) else ""
