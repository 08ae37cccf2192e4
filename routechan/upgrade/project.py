"""What fixers have to know of a project beyond the one file they work on."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePath

from .source import is_python


class Project:
    """The files of a code base, as they were found. Lifetime: one run of the command.

    Args:
        texts: Path below the root -> text, of all files that fixers may look at.
        found: The same before any fixer ran.
    """

    def __init__(self, texts: Mapping[PurePath, str], found: Mapping[PurePath, str] | None = None) -> None:
        self.texts = texts
        self.found = texts if found is None else found

    @cached_property
    def own_packages(self) -> set[str]:
        """Modules and packages of the project itself that can be imported by one name."""
        found = {path.stem for path in self._python if len(path.parts) == 1}
        return found | {path.parent.name for path in self._python if path.name == "__init__.py" and self._is_top(path)}

    def _is_top(self, path: PurePath) -> bool:
        return bool(path.parent.name) and path.parent.parent / "__init__.py" not in self.texts

    @cached_property
    def _python(self) -> list[PurePath]:
        return [path for path, text in self.texts.items() if is_python(path, text)]

    def module(self, dotted: str) -> PurePath | None:
        """The file of a module of the project, wherever its top package lies.

        Args:
            dotted: Its name, such as ``project.asgi``.
        """
        end = dotted.replace(".", "/")
        for path in self._python:
            name = path.parent if path.name == "__init__.py" else path.with_suffix("")
            if name.as_posix() == end or name.as_posix().endswith("/" + end):
                return path
        return None

    def mentions(self, pattern: str, but: PurePath) -> bool:
        """Whether any Python file but one has a text that matches.

        Args:
            pattern: A regular expression.
            but: The file that does not count.
        """
        found = re.compile(pattern)
        return any(found.search(self.texts[path]) for path in self._python if path != but)

    def mentioned(self, pattern: str) -> bool:
        """Whether any Python file but the tests had a text that matches, before fixers ran.

        Args:
            pattern: A regular expression.
        """
        files = ((path, text) for path, text in self.found.items() if "test" not in path.as_posix())
        return any(re.search(pattern, text) for path, text in files if is_python(path, text))

    def names_in(self, path: PurePath) -> set[str]:
        """The names that a file binds at its top level by assignment; none where it is no Python 3.

        Args:
            path: The file.
        """
        assigned = [node for node in self._statements(path) if isinstance(node, ast.Assign)]
        targets = [target for node in assigned for target in node.targets]
        return {target.id for target in targets if isinstance(target, ast.Name)}

    def defined_in(self, path: PurePath) -> set[str]:
        """The names that a file defines itself at its top level; none where it is no Python 3.

        Args:
            path: The file.
        """
        defined = [node for node in self._statements(path) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        return {node.name for node in defined} | self.names_in(path)

    def _statements(self, path: PurePath) -> list[ast.stmt]:
        """The statements of a file at its top level; none where it is no Python 3."""
        try:
            return ast.parse(self.texts[path]).body
        except (SyntaxError, ValueError):
            return []

    @cached_property
    def _routes(self) -> dict[str, set[str]]:
        """Channel -> the names of the consumers that are routed on it, without their modules."""
        found: dict[str, set[str]] = {}
        route = re.compile(r"""["']([\w.-]+)["']\s*[,:]\s*["']?(?:\w+\.)*(\w+)\b""")
        for path in self._python:
            for match in route.finditer(self.texts[path]) if "websocket." in self.texts[path] else ():
                found.setdefault(match[1], set()).add(match[2])
        return found

    def routed(self, channel: str) -> set[str]:
        """The names of what may be a consumer of a channel.

        Args:
            channel: The channel.
        """
        return self._routes.get(channel, set())

    def mentions_requirement(self, pattern: str) -> bool:
        """Whether a file that lists packages has a line that begins with what matches.

        Args:
            pattern: A regular expression.
        """
        line = re.compile(rf"^\s*[\"']?(?:{pattern})", re.MULTILINE | re.IGNORECASE)
        return any(line.search(text) for path, text in self.texts.items() if _lists_packages(path))

    def requires(self, package: str) -> bool:
        """Whether a requirements file, ``setup.py`` or the like names a package.

        Args:
            package: Its name.
        """
        return self.mentions_requirement(rf"{package}\b")


def _lists_packages(path: PurePath) -> bool:
    return path.suffix in (".txt", ".in", ".toml", ".cfg") or path.name in ("setup.py", "Pipfile")
