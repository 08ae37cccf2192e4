"""English in errors and log lines: a name with its article, a number with its noun."""

from __future__ import annotations


def with_article(name: str) -> str:
    """``name`` behind its article: "an object", "a set"; by its first letter, so it is for names of types."""
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def counted(number: int, noun: str) -> str:
    """The ``number`` with its ``noun``, which is given in the singular: "1 message", "2 messages"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
