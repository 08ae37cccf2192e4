"""English in errors and log lines."""

from __future__ import annotations

import pytest

from routechan.inspection import counted, with_article


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("object", "an object"),
        ("int", "an int"),
        ("InMemoryChannelLayer", "an InMemoryChannelLayer"),
        ("set", "a set"),
        ("User", "a User"),
    ],
)
def test_an_article(name: str, text: str) -> None:
    """By the first letter, which is right for the names of types; those with a U are mostly spoken as "you"."""
    assert with_article(name) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 workers"), (1, "1 worker"), (2, "2 workers")])
def test_a_number(number: int, text: str) -> None:
    """One is no plural."""
    assert counted(number, "worker") == text
