"""``commands``: daphne and runworker in Procfiles, compose files, units, supervisor files and scripts."""

from __future__ import annotations

import re
from pathlib import PurePath

from ..project import Project
from ..source import Source
from .base import Fixer

#: Files that have commands, by their name or its end.
NAMES = re.compile(
    r"Procfile|Dockerfile|Makefile|Vagrantfile|app\.json$|.*\.(ya?ml|service|conf|ini|sh|bash|supervisor|mk|toml|j2|"
    r"json|upstart|dockerfile|config|sls|tmpl|tpl)$"
)
SHELL = re.compile(r"#!.*\b(ba|da|z|k)?sh\b")

#: Option of daphne -> uvicorn's; both take a value.
OPTIONS = {
    "-b": "--host",
    "--bind": "--host",
    "-p": "--port",
    "--port": "--port",
    "-u": "--uds",
    "--unix-socket": "--uds",
    "--fd": "--fd",
    "--root-path": "--root-path",
    "--ping-interval": "--ws-ping-interval",
    "--ping-timeout": "--ws-ping-timeout",
}

#: Options that are not needed, with the values for which that is so.
NEEDLESS = {
    "-v": re.compile(r"\d"),
    "--verbosity": re.compile(r"\d"),
    "--websocket_timeout": re.compile("-1"),
    "--websocket-timeout": re.compile("-1"),
}

#: Options that a setting replaces.
SETTINGS = {
    "--ws-protocol": 'ROUTECHAN = {"SUBPROTOCOLS": [...]}',
    "--websocket_connect_timeout": 'ROUTECHAN = {"HANDSHAKE_TIMEOUT": seconds}',
    "--http-timeout": 'ROUTECHAN = {"HTTP_TIMEOUT": seconds}',
    "-t": 'ROUTECHAN = {"HTTP_TIMEOUT": seconds}',
    "--http_timeout": 'ROUTECHAN = {"HTTP_TIMEOUT": seconds}',
}

SERVER_ROW, WORKER_ROW = "6.13, items 160, 161", "CM-21, WK-36"

#: One word of a command, in a shell or in a list of strings.
WORD = re.compile(r"[^\s\"',\[\]]+")
DAPHNE = re.compile(r"(?:^|(?<=[/\s=\"'(\[]))daphne(?=[\s\"'])")
#: A line whose command is daphne, and whose arguments are on others.
ALONE = re.compile(r"(^|\s)(-|(command|cmd|entrypoint|exec)\s*[:=]?)\s*[\"']?[\w./-]*daphne[\"']?\s*$", re.IGNORECASE)
PIP = re.compile(r"\bpip3? install\b[^\n]*?\b(daphne|channels|asgi[-_]redis)\b")
APPLICATION = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)$")
END = re.compile(r"(?<!\\)(\r?\n|$)|&&|\|\||[;|>]|(?<=\s)&(?=\s)|\s#")


def _wants(path: PurePath, text: str) -> bool:
    """Whether a file may have commands that concern us."""
    named = NAMES.match(path.name) or (not path.suffix and SHELL.match(text))
    return bool(named) and bool(re.search(r"\bdaphne\b|\brunworker\b|:channel_layer\b", text) or PIP.search(text))


def _fix(source: Source, project: Project) -> None:
    """Serve with uvicorn, give runworker its options of today, and serve the name that ``asgi.py`` has now."""
    for match in DAPHNE.finditer(source.text):
        if not _is_comment(source, match.start()):
            _fix_daphne(source, project, match)
    for match in re.finditer(r"(?<!\w)([A-Za-z_][\w.]*):(channel_layer)\b", source.text):
        if not _is_comment(source, match.start()):
            source.replace(*match.span(2), _served(project, match[1], match[2]))
    for match in PIP.finditer(source.text):
        source.tell(source.line_of(match.start()), f"{match[0]}: install 'routechan[server]' in its place", SERVER_ROW)
    for match in re.finditer(r"\brunworker\b[^\n]*", source.text):
        if not _is_comment(source, match.start()):
            _fix_worker(source, project, match)


def _fix_daphne(source: Source, project: Project, daphne: re.Match[str]) -> None:
    line = source.line_of(daphne.start())
    end = END.search(source.text, daphne.end())
    stop = end.start() if end else len(source.text)
    listed = re.match(r"[\"']\s*,", source.text[daphne.end() : daphne.end() + 9]) is not None
    text = source.text[daphne.end() : stop]
    words = [m for m in WORD.finditer(source.text, daphne.end(), stop) if m[0] != "\\"]
    if not any(APPLICATION.search(word[0]) for word in words):
        if re.match(r"\s+-", text) or ALONE.search(source.text[source.line_span(daphne.start())[0] : stop]):
            source.tell(line, "daphne in several lines: write uvicorn project.asgi:application", SERVER_ROW)
        return
    quotes = re.sub(r"[\"']\s*\]?\s*$", "", text)
    if not listed and re.search(r"[\"'\[\]]", quotes):
        source.tell(line, "daphne with quoted words: write uvicorn, with its own options", SERVER_ROW)
        return
    edits = _edits(project, words)
    if isinstance(edits, str):
        source.tell(line, f"daphne {edits}; then serve with uvicorn", SERVER_ROW)
        return
    source.replace(*daphne.span(), "uvicorn")
    for word, new in edits:
        if new:
            source.replace(*word.span(), new)
        else:
            source.replace(*_with_gap(source, word), "")


def _edits(project: Project, words: list[re.Match[str]]) -> list[tuple[re.Match[str], str]] | str:
    """Each word that changes, with what comes in its place; a text where one has nothing in its place."""
    edits: list[tuple[re.Match[str], str]] = []
    waiting = iter(words)
    for word in waiting:
        option, value = _split(word[0])
        if option is None:
            served = APPLICATION.search(word[0])
            if served:
                new = _served(project, served[1], served[2])
                edits.append((word, word[0][: served.start(2)] + new))
            continue
        if option in SETTINGS:
            return f"{option}: write {SETTINGS[option]} in the settings, and take it out here"
        if option == "--proxy-headers":
            continue
        if option not in OPTIONS and option not in NEEDLESS:
            return f"{option}: uvicorn has no such option, see docs/deploy/index.rst"
        given = next(waiting, None) if value is None else None
        text = value if value is not None else given[0] if given else ""
        if option in NEEDLESS:
            if not NEEDLESS[option].fullmatch(text):
                return f"{option} {text}: sockets have no such limit here; take it out"
            edits += [(each, "") for each in (word, given) if each]
        elif value is None:
            edits.append((word, OPTIONS[option]))
        else:
            edits.append((word, f"{OPTIONS[option]}{'=' if '=' in word[0] else ' '}{value}"))
    return edits


def _split(word: str) -> tuple[str | None, str | None]:
    """The option that a word is, and its value if that is in the same word."""
    if word.startswith("--"):
        option, equals, value = word.partition("=")
        return option, value if equals else None
    if re.match(r"-[a-zA-Z]", word):
        return word[:2], word[2:] or None
    return None, None


def _with_gap(source: Source, word: re.Match[str]) -> tuple[int, int]:
    """A word with what stands between it and the word before it."""
    start, end = word.span()
    quote = source.text[start - 1 : start]
    if quote in "\"'" and quote and source.text[end : end + 1] == quote:
        before = re.compile(r",\s*$").search(source.text, 0, start - 1)
        return (before.start() if before else start - 1), end + 1
    gap = re.compile(r"(\s|\\\r?\n)+$").search(source.text, 0, start)
    return (gap.start() if gap else start), end


def _served(project: Project, module: str, name: str) -> str:
    """What a server is to be given of ``module``."""
    path = project.module(module)
    names = project.names_in(path) if path else set()
    return "application" if "application" in names and name not in names else name


def _fix_worker(source: Source, project: Project, runworker: re.Match[str]) -> None:
    alias = re.search(r"--alias(?=[\s=\"'])", runworker[0])
    if alias:
        source.replace(runworker.start() + alias.start(), runworker.start() + alias.end(), "--layer")
    if not project.mentions(r"[\"']CONSUMERS[\"']", PurePath()):
        source.tell(
            source.line_of(runworker.start()),
            "runworker: the server runs the consumers of sockets itself now, and this takes the channels of your own. "
            'For the topology of 1.x write "CONSUMERS": "workers" in CHANNEL_LAYERS; without channels of your own, '
            "take this out",
            WORKER_ROW,
            must=False,
        )


def _is_comment(source: Source, offset: int) -> bool:
    start, _ = source.line_span(offset)
    return source.text[start:offset].lstrip().startswith(("#", ";", "//"))


FIXER = Fixer("commands", "daphne and runworker in Procfiles, compose files, units", _fix, _wants, parses=False)
