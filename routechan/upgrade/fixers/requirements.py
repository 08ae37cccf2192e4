"""``requirements``: the packages of Channels 1.x in requirements files, setup.py, setup.cfg and Pipfile."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from ..project import Project
from ..source import Source
from .base import Fixer

#: What is written for Channels, which brought a server.
OURS = "routechan[server]"

#: Packages that Channels 1.x needed and this library brings, or does not need.
GONE = ("daphne", "asgi-redis", "asgi-ipc", "asgi-rabbitmq", "asgiref", "channels-redis")

#: Packages whose old versions do not go with this library -> what is needed.
OLD = {
    "django": ("4.2", "Django 4.2 or later"),
    "redis": ("5", "redis 5 or later"),
    "msgpack": ("1.0.5", "msgpack 1.0.5 or later"),
    "msgpack-python": ("9", "msgpack 1.0.5 or later, which is its name now"),
}

#: Files that list packages, beside those that pip reads.
LISTS = (
    *("setup.py", "setup.cfg", "Pipfile", "pyproject.toml", "tox.ini", "poetry.lock", "Pipfile.lock"),
    *("environment.yml", "environment.yaml"),
)

#: A line of one of those that only name packages.
LISTED = re.compile(r"\s*(?:-\s*)?[\"']?(channels|daphne|asgi[-_]redis|asgi[-_]ipc|asgiref)[\"']?\s*[=:,<>~]")

REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z][\w.-]*)(?P<extras>\[[^\]]*\])?(?P<rest>\s*(?P<op>[=<>~!]=?=?)\s*(?P<version>[\w.*]+)[^#;\n]*?)?"
    r"(?P<end>\s*(?:[#;][^\r\n]*)?)$"
)
DIRECT = re.compile(r"(https?://|git\+|-e\s).*(\bchannels\b|asgi_redis|daphne|asgiref)", re.IGNORECASE)
#: Where a file says which Python it wants, and a version before the oldest that this library runs on.
PYTHON = re.compile(r"^(?:FROM\s+(?:\S*/)?python:|python-)(2\b[\d.]*|3\.\d\b[\d.]*)", re.MULTILINE)

ROW = "AP-01, AP-02"
GENERATED = re.compile(r"--hash=|^#.*\bpip-compile\b|^ +# via ", re.MULTILINE)


def _wants(path: PurePath, text: str) -> bool:
    """Whether a file lists packages."""
    if path.name.startswith("Dockerfile") or path.name == "runtime.txt":
        return bool(PYTHON.search(text))
    if path.name in LISTS:
        return _names_old(text)
    listed = re.search(r"require|constraint|^(dev|base|common|production|prod|local|test)$", path.stem, re.IGNORECASE)
    folder = "requirements" in path.parts[:-1]
    return path.suffix in (".txt", ".in", ".pip") and bool(listed or folder) and _names_old(text)


def _names_old(text: str) -> bool:
    return bool(
        re.search(
            r"\b(channels|routechan)\b|\bdaphne\b|\basgi[-_](redis|ipc|rabbitmq)\b|\basgiref\b", text, re.IGNORECASE
        )
    )


def _fix(source: Source, project: Project) -> None:
    """Require this library where Channels was, and what it brings no more."""
    name = source.path.name
    for python in PYTHON.finditer(source.text):
        source.tell(source.line_of(python.start()), f"{python[0]}: it has to be Python 3.10 or later")
    if name.startswith("Dockerfile") or name == "runtime.txt":
        return
    if name == "setup.py":
        _fix_setup(source)
    elif name == "tox.ini" or name == "setup.cfg" or source.path.suffix in (".txt", ".in", ".pip"):
        if GENERATED.search(source.text):
            source.tell(1, f"a generated file: require {OURS} where it is generated from, and generate it anew", ROW)
        else:
            _fix_lines(source, project)
    else:
        for number, line in enumerate(source.text.splitlines(), 1):
            if LISTED.match(line):
                source.tell(
                    number, f"{line.strip()}: require {OURS} in place of channels, and nothing for the rest", ROW
                )


def _fix_lines(source: Source, project: Project) -> None:
    offset = 0
    plain = source.path.suffix in (".txt", ".in", ".pip")
    has_channels = project.mentions_requirement(r"(routechan|channels)\b")
    for number, line in enumerate(source.text.splitlines(keepends=True), 1):
        text = line.rstrip("\r\n")
        start = offset + len(text) - len(text.lstrip())
        offset += len(line)
        if DIRECT.match(text.strip()):
            source.tell(number, f"{text.strip()}: require {OURS} in its place", ROW)
            continue
        found = REQUIREMENT.match(text.strip())
        if not found or (not plain and not text[:1].isspace()):
            if not plain and re.search(r"(?<![\w.-])(channels|daphne|asgi[-_]redis)\s*[=<>~]", text):
                source.tell(
                    number, f"{text.strip()}: require {OURS} in place of channels, and nothing for the rest", ROW
                )
            continue
        package = _normal(found["name"])
        if package == "channels":
            if _is_later(found):
                continue
            source.replace(start, start + len(text.strip()) - len(found["end"]), OURS)
        elif package in GONE and has_channels and not _is_todays(package, found):
            source.remove_lines(start, start + 1)
        elif package in OLD:
            _tell_old(source, number, package, found)


def _fix_setup(source: Source) -> None:
    for node in source.nodes:
        if not isinstance(node, ast.List | ast.Tuple):
            continue
        for index, element in enumerate(node.elts):
            if not isinstance(element, ast.Constant) or not isinstance(element.value, str):
                continue
            found = REQUIREMENT.match(element.value.strip())
            package = _normal(found["name"]) if found else ""
            if not found or found["end"].strip():
                continue
            if package == "channels" and not _is_later(found) and _lists_packages(source, node):
                source.replace_string(element, OURS)
            elif package in GONE and _lists_packages(source, node) and not _is_todays(package, found):
                source.remove_element(node.elts, index)
            elif package in OLD and found["version"]:
                _tell_old(source, element.lineno, package, found)


def _lists_packages(source: Source, node: ast.List | ast.Tuple) -> bool:
    """Whether a list is one of packages, by what it is assigned to."""
    parent = source.parents[node]
    if isinstance(parent, ast.keyword):
        return bool(parent.arg and "require" in parent.arg)
    if isinstance(parent, ast.Assign):
        return any(re.search("requir|depend|packages", source.of(target), re.IGNORECASE) for target in parent.targets)
    return isinstance(parent, ast.Dict) and "require" in source.text


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _is_later(found: re.Match[str]) -> bool:
    """Whether the version is one of Channels 2 and later."""
    return bool(found["version"]) and found["op"] not in ("<", "<=", "!=") and _numbers(found["version"])[:1] >= [2]


def _is_todays(package: str, found: re.Match[str]) -> bool:
    """Whether a version is one that goes with today's Django."""
    if package not in ("asgiref", "daphne") or not found["version"] or found["op"].startswith(("<", "!")):
        return False
    return _numbers(found["version"])[:1] >= [3 if package == "asgiref" else 2]


def _tell_old(source: Source, number: int, package: str, found: re.Match[str]) -> None:
    """Name a requirement that no version can meet which goes with this library."""
    needed, text = OLD[package]
    for operator, version in re.findall(r"(==|~=|<=|<)\s*([\w.]+)", found["rest"] or ""):
        bound, least = _numbers(version), _numbers(needed)
        if bound <= least if operator == "<" else bound < least[: len(bound)]:
            row = "3.1, A1" if package == "redis" else ""
            source.tell(number, f"{found['name']}{found['rest'].strip()}: it has to be {text}", row)
            return


FIXER = Fixer("requirements", "packages in requirements files and setup.py", _fix, _wants, parses=False)
