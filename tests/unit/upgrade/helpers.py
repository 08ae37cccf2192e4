"""Runs fixers over texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from routechan.upgrade.fixers import FIXERS
from routechan.upgrade.rewriting import Rewritten, rewrite


def run(name: str, files: Mapping[str, str]) -> Rewritten:
    """What the fixer ``name`` makes of files, which it changes no second time."""
    texts = {PurePath(path): text for path, text in files.items()}
    result = rewrite(texts, [FIXERS[name]])
    again = rewrite({**texts, **result.texts}, [FIXERS[name]])
    assert not again.texts, "a second run changes more"
    return result


def told(result: Rewritten) -> list[str]:
    """What is told of the places, with their lines."""
    return [f"{place.line}: {place.text}" for place in result.places]
