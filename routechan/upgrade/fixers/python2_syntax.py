"""``python2_syntax``: files that are Python 2, if a few changes of syntax make them Python 3."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from ..project import Project
from ..source import Source, is_python
from .base import Fixer

TOKEN = re.compile(
    r"""(?P<string>[uUbBrR]{0,2}(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])*'))"""
    r"|(?P<comment>\#[^\n\r]*)|(?P<newline>\r?\n)|(?P<space>[ \t\f]+|\\\r?\n)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>\d[\w.]*)|(?P<op><>|>>|[\s\S])"
)

Token = re.Match[str]


#: Statements of Python 2 that Python 3 takes for something else.
PRINT = re.compile(r"^[^#\n]*\bprint[ \t]*(>>|$)", re.MULTILINE)


def _wants(path: PurePath, text: str) -> bool:
    """Whether a file is Python, and may not be Python 3."""
    return is_python(path, text) and (_syntax_error(text) is not None or bool(PRINT.search(text)))


def _syntax_error(text: str) -> SyntaxError | None:
    """What is wrong with ``text`` as Python 3; None if nothing is."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return error
    except ValueError as error:  # null bytes
        return SyntaxError(str(error))
    return None


def _fix(source: Source, project: Project) -> None:
    """Change ``print``, ``except``, ``raise`` and numbers, if the file is Python 3 then."""
    trial = Source(source.path, source.text)
    for statement in _statements(source.text):
        _fix_statement(trial, statement)
    if trial.edited and _syntax_error(trial.result()) is None:
        for edit in trial.edits:
            source.replace(*edit)
        return
    error = _syntax_error(source.text)
    if error is not None:
        source.tell(
            error.lineno or 1,
            f"no Python 3 ({error.msg}), so nothing else was looked at in this file: translate it first, for example "
            "with 2to3 of Python 3.12 or older",
        )


def _statements(text: str) -> Iterator[list[Token]]:
    """The tokens of each simple statement, and of each head of a block, without white space and comments."""
    depth, statement = 0, list[Token]()
    for token in TOKEN.finditer(text):
        value = token[0]
        if value in "([{" and token.lastgroup == "op":
            depth += 1
        elif value in ")]}" and token.lastgroup == "op":
            depth -= 1
        ends = depth <= 0 and (token.lastgroup == "newline" or value == ";")
        if token.lastgroup in ("name", "string", "number", "op") and value != ";":
            statement.append(token)
        if ends or (depth <= 0 and value == ":" and not _is_lambda(statement)):
            if statement:
                yield statement
            statement = []
    if statement:
        yield statement


def _is_lambda(statement: Sequence[Token]) -> bool:
    return any(token[0] == "lambda" for token in statement)


def _fix_statement(source: Source, tokens: list[Token]) -> None:
    for token in tokens:
        if token[0] == "<>":
            source.replace(*token.span(), "!=")
        elif token.lastgroup == "number" and re.fullmatch(r"0[0-7]+", token[0]) and token[0].strip("0"):
            source.replace(*token.span(), f"0o{token[0][1:]}")
        elif token.lastgroup == "number" and re.fullmatch(r"\d+[lL]", token[0]):
            source.replace(*token.span(), token[0][:-1])
    first = tokens[0][0]
    if first == "print":
        _fix_print(source, tokens)
    elif first == "except":
        commas = _commas(tokens)
        if len(commas) == 1 and tokens[-1][0] == ":" and tokens[-2].lastgroup == "name":
            comma = commas[0]
            source.replace(comma.start(), comma.end(), " as" if source.text[comma.end()] == " " else " as ")
    elif first == "raise":
        commas = _commas(tokens)
        if len(commas) == 1:
            source.replace(commas[0].start(), tokens[tokens.index(commas[0]) + 1].start(), "(")
            source.replace(tokens[-1].end(), tokens[-1].end(), ")")


def _commas(tokens: Sequence[Token]) -> list[Token]:
    """The commas that stand in no brackets."""
    depth, found = 0, []
    for token in tokens:
        depth += token[0] in ("(", "[", "{")
        depth -= token[0] in (")", "]", "}")
        if not depth and token[0] == ",":
            found.append(token)
    return found


def _fix_print(source: Source, tokens: list[Token]) -> None:
    rest = tokens[1:]
    start = tokens[0].end()
    if not rest:
        source.replace(start, start, "()")
        return
    if rest[0][0] == "=" or (rest[0][0] == "(" and _closes_at_end(rest)):
        return
    end, more = rest[-1].end(), ""
    commas = _commas(rest)
    if rest[-1][0] == ",":
        end, more = rest[-1].start(), ', end=" "'
    if rest[0][0] == ">>":
        if not commas:
            return
        more = f", file={source.text[rest[0].end() : commas[0].start()].strip()}{more}"
        begin = rest[rest.index(commas[0]) + 1].start() if commas[0] is not rest[-1] else end
    else:
        begin = rest[0].start()
    source.replace(start, begin, "(")
    source.replace(end, rest[-1].end(), f"{more})")


def _closes_at_end(tokens: Sequence[Token]) -> bool:
    """Whether the bracket that opens first closes last."""
    depth = 0
    for token in tokens:
        depth += token[0] in ("(", "[", "{")
        depth -= token[0] in (")", "]", "}")
        if not depth:
            return token is tokens[-1]
    return False


FIXER = Fixer("python2_syntax", "print, except and raise of Python 2", _fix, _wants, parses=False)
