"""The text of one file, and the edits that a fixer makes in it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

#: What Python takes for the end of a line.
LINE_END = re.compile(r"\r\n|\n|\r")

#: A node that stands somewhere in the file.
Node = ast.expr | ast.stmt | ast.keyword | ast.arg | ast.alias | ast.ExceptHandler


@dataclass(frozen=True)
class Place:
    """A place that a person has to look at."""

    #: The file.
    path: PurePath
    #: The line, from 1 on.
    line: int
    #: The name of the fixer that cannot decide it.
    fixer: str
    #: What is there, and what to do.
    text: str
    #: The row of docs/differences.rst about it, as its first column names it; may be empty.
    row: str = ""
    #: Whether the code cannot work before something is done.
    must: bool = True


class Source:
    """One file while one fixer works on it. Lifetime: as long as the text is this one.

    Args:
        path: The file, below the root of the project.
        text: What it contains.
    """

    def __init__(self, path: PurePath, text: str) -> None:
        self.path = path
        self.text = text
        self.begin()

    def begin(self) -> None:
        """Forget what was told and edited: another fixer begins."""
        #: What the fixer tells: line, text, row, and whether something must be done.
        self.told: list[tuple[int, str, str, bool]] = []
        self._edits: list[tuple[int, int, str]] = []

    @cached_property
    def parses(self) -> bool:
        """Whether it is Python 3, if it is Python; other files count as if they were."""
        if not is_python(self.path, self.text):
            return True
        try:
            return bool(self.tree)
        except (SyntaxError, ValueError):  # ValueError: null bytes
            return False

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; ``SyntaxError`` where it is no Python 3."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes that are no escapes, in the code of others
            return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Node -> the node it stands in."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in LINE_END.finditer(self.text))]

    @cached_property
    def newline(self) -> str:
        """What ends the first line."""
        found = LINE_END.search(self.text)
        return found[0] if found else "\n"

    def offset(self, line: int, column: int) -> int:
        """Where in the text a node begins or ends.

        Args:
            line: From 1 on.
            column: In bytes of UTF-8, as syntax trees have it.
        """
        start = self._starts[line - 1]
        text = self.text[start : start + column]
        if not text.isascii():
            text = text.encode()[:column].decode()
        return start + len(text)

    def span(self, node: Node) -> tuple[int, int]:
        """Where ``node`` begins and ends; a decorated definition begins at its ``def`` or ``class``."""
        end = self.offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return self.offset(node.lineno, node.col_offset), end

    def of(self, node: Node) -> str:
        """The text of ``node``."""
        start, end = self.span(node)
        return self.text[start:end]

    def line_of(self, offset: int) -> int:
        """The line, from 1 on, that ``offset`` is in."""
        return sum(1 for _ in LINE_END.finditer(self.text, 0, offset)) + 1

    def line_span(self, offset: int) -> tuple[int, int]:
        """Where the line of ``offset`` begins, and where the next one does."""
        line = self.line_of(offset)
        return self._starts[line - 1], self._starts[line] if line < len(self._starts) else len(self.text)

    def indent(self, node: Node) -> str:
        """What stands before ``node`` in its line, if that is white space only."""
        start, _ = self.span(node)
        before = self.text[self.line_span(start)[0] : start]
        return before if not before.strip() else ""

    def replace(self, start: int, end: int, new: str) -> None:
        """Put ``new`` in the place of ``start`` to ``end``.

        An edit that overlaps an earlier one waits for the next pass.
        """
        if any(start < other_end and other_start < end for other_start, other_end, _ in self._edits):
            return
        new = LINE_END.sub(lambda _: self.newline, new)
        if (start, end, new) not in self._edits and self.text[start:end] != new:
            self._edits.append((start, end, new))

    def replace_node(self, node: Node, new: str) -> None:
        """Put the code ``new`` in the place of ``node``."""
        self.replace(*self.span(node), new)

    def remove_lines(self, start: int, end: int) -> None:
        """Take out all lines from that of ``start`` to that of ``end``."""
        self.replace(self.line_span(start)[0], self.line_span(max(start, end - 1))[1], "")

    def tell(self, where: Node | int, text: str, row: str = "", *, must: bool = True) -> None:
        """Name a place for a person.

        Args:
            where: A node, or a line.
            text: What is there, and what to do.
            row: Of docs/differences.rst.
            must: Whether the code cannot work before something is done.
        """
        line = where if isinstance(where, int) else where.lineno
        if (line, text, row, must) not in self.told:
            self.told.append((line, text, row, must))

    @property
    def edited(self) -> bool:
        """Whether there are edits."""
        return bool(self._edits)

    @property
    def edits(self) -> list[tuple[int, int, str]]:
        """Start, end and new text of each."""
        return self._edits

    def result(self) -> str:
        """The text with all edits."""
        text = self.text
        for start, end, new in sorted(self._edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def calls(self, *names: str) -> Iterator[ast.Call]:
        """The calls of what is named one of ``names``, as a name or as the last attribute."""
        for node in self.nodes:
            if isinstance(node, ast.Call) and last_name(node.func) in names:
                yield node

    def strings(self) -> Iterator[ast.Constant]:
        """The strings that stand in one piece on one line, without docstrings and f-strings."""
        for node in self.nodes:
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node.end_lineno != node.lineno:
                continue
            parent = self.parents[node]
            if not isinstance(parent, ast.Expr | ast.JoinedStr) and self.in_quotes(node) is not None:
                yield node

    def in_quotes(self, node: ast.Constant) -> tuple[int, int] | None:
        """Where the text of the string ``node`` begins and ends, between its quotes; None where it is in pieces."""
        start, end = self.span(node)
        match = re.fullmatch(r"([uUrRbB]*)('''|\"\"\"|'|\")(.*)\2", self.text[start:end], re.DOTALL)
        if match is None or match[3] != node.value:
            return None
        return start + match.start(3), start + match.end(3)

    def replace_string(self, node: ast.Constant, new: str) -> bool:
        """Whether ``new`` could be put between the quotes of the string ``node``."""
        inside = self.in_quotes(node)
        if inside is not None:
            self.replace(*inside, new)
        return inside is not None

    def remove_element(self, elements: list[ast.expr], index: int, last: ast.expr | None = None) -> None:
        """Take an element out of a list, tuple or dict, with its comma, and its line if it has one to itself.

        Args:
            elements: All of them; of a dict, the keys.
            index: Which one.
            last: What the element ends with; of a dict, the value.
        """
        start = self.span(elements[index])[0]
        end = self.span(last or elements[index])[1]
        comma = re.compile(r"\s*,").match(self.text, end)
        after = comma.end() if comma else end
        first, _ = self.line_span(start)
        rest = re.compile(r"[ \t]*(#[^\r\n]*)?(\r\n|\n|\r)").match(self.text, after)
        if rest and not self.text[first:start].strip():
            self.replace(first, rest.end(), "")
        elif comma and rest:  # the last of its line
            before = re.compile(r"[ \t]*$").search(self.text, first, start)
            self.replace(before.start() if before else start, after, "")
        elif comma:
            following = re.compile(r"[ \t]*").match(self.text, after)
            self.replace(start, following.end() if following else after, "")
        else:
            before = re.compile(r",\s*$").search(self.text, 0, start)
            self.replace(before.start() if before and index else start, end, "")


def last_name(node: ast.AST) -> str:
    """The name that ``node`` is, or the last one of an attribute; "" for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def dotted_name(node: ast.AST) -> str:
    """``a.b.c`` where ``node`` is a chain of attributes; "" for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def is_python(path: PurePath, text: str) -> bool:
    """Whether a file is Python, by its name or its first line.

    Args:
        path: The file.
        text: Its text.
    """
    return path.suffix == ".py" or (not path.suffix and bool(re.match(r"#!.*\bpython", text)))
