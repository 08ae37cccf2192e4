"""``templates``: tags and libraries that templates cannot load any more."""

from __future__ import annotations

import re
from pathlib import PurePath

from ..project import Project
from ..source import Source
from .base import Fixer

LOAD = re.compile(r"\{%(-?\s*)load\s+([^%]*?)(\s*)%\}")
OLD = ("staticfiles", "admin_static")
EQUAL = re.compile(
    r"\{%(\s*)if(not)?equal\s+((?:\"[^\"]*\"|'[^']*'|[^\s%])+)\s+((?:\"[^\"]*\"|'[^']*'|[^\s%])+)(\s*)%\}"
)


def _wants(path: PurePath, text: str) -> bool:
    """Whether a file is a template that has old tags."""
    return path.suffix in (".html", ".htm", ".txt", ".xml", ".djhtml", ".js", ".jinja") and bool(
        re.search(r"\{%\s*(load\b[^%]*(staticfiles|admin_static|future)|if(not)?equal\b|url\s+[\"']?django\.)", text)
    )


def _fix(source: Source, project: Project) -> None:
    """Load ``static``, and compare with ``if``."""
    for match in re.finditer(r"\{%\s*url\s+[\"']?(django\.[\w.]+)", source.text):
        source.tell(source.line_of(match.start()), f"{match[1]}: a URL is named by the name of its route")
    for match in LOAD.finditer(source.text):
        libraries = match[2].split()
        if "from" in libraries:
            if libraries[-1] in OLD:
                source.replace(*match.span(2), "static")
            elif libraries[-1] == "future":
                source.replace(*match.span(), "")
        elif set(libraries) & set(OLD):
            new = ["static" if library in OLD else library for library in libraries]
            source.replace(*match.span(2), " ".join(dict.fromkeys(new)))
    for match in EQUAL.finditer(source.text):
        sign = "!=" if match[2] else "=="
        source.replace(*match.span(), f"{{%{match[1]}if {match[3]} {sign} {match[4]}{match[5]}%}}")
    for match in re.finditer(r"\{%\s*(endif(?:not)?equal)\s*%\}", source.text):
        source.replace(*match.span(1), "endif")


FIXER = Fixer("templates", "{% load staticfiles %} and {% ifequal %} in templates", _fix, _wants, parses=False)
