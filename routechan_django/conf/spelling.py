"""Suggestions for keys and options that are misspelt, or stand in the wrong setting."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

ENTRY = "CHANNEL_LAYERS['default']"
OPTIONS = "CHANNEL_LAYERS['default']['CONFIG']"
ROUTECHAN = "ROUTECHAN"

#: Place -> the names that belong there. Each module of this package adds those that it reads.
names_in: dict[str, Callable[[], Iterable[str]]] = {
    "CHANNEL_LAYERS": lambda: ("default",),
    "the settings module": lambda: ("CHANNEL_LAYERS", "ROUTECHAN"),
}


def did_you_mean(key: object, known: Iterable[str], place: str = "") -> str:
    """The text to put behind an unknown name in an error.

    Args:
        key: What was written.
        known: The names that exist here.
        place: Where it was written, one of ``names_in``; given, names of the other places are suggested too.

    Returns:
        ``" (did you mean 'NAME'?)"`` with the closest name, ignoring case, or where the name belongs; empty where
        none is close.
    """
    name = str(key).lower()
    here = {each.lower(): each for each in known}
    if name in here:
        return f" (did you mean {here[name]!r}?)"
    elsewhere: dict[str, str] = {}
    for other, names in names_in.items() if place else ():
        for each in names() if other != place else ():
            elsewhere.setdefault(each.lower(), f" ({each!r} belongs into {other})")
    if name in elsewhere:
        return elsewhere[name]
    hints = {**elsewhere, **{each: f" (did you mean {here[each]!r}?)" for each in here}}
    close = difflib.get_close_matches(name, hints, n=1, cutoff=0.85) or difflib.get_close_matches(name, here, n=1)
    return hints[close[0]] if close else ""
