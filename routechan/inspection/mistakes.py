"""Mistakes that are made often, and the texts that say what to write instead."""

from __future__ import annotations

import linecache
import re
from typing import Any

from .naming import name_that_thing


def no_routing(routing: Any, source: str) -> str:
    """The error for a ``routing`` that is no list, which came from ``source``."""
    is_module, name = type(routing).__name__ == "module", getattr(routing, "__name__", "")
    hint = f"; a module was given, name the list inside it: '{name}.channel_routing'" if is_module else ""
    return (
        f"a routing is a list of route(), route_class() and include() entries, a dict of channel: consumer, "
        f"or the dotted path of one, not {routing!r:.100}{source}{hint}"
    )


def no_route(entry: Any) -> str:
    """The error for an ``entry`` of a routing that is no route: what it is, and what to write."""
    if isinstance(entry, (list, tuple)):
        return (
            f"is a {type(entry).__name__}, {entry!r:.100}; write route(channel, consumer), or include([...]) for a list"
        )
    if type(entry).__module__.startswith("django.urls"):
        return (
            f"is a URL pattern of Django, {entry!r:.100}; write "
            'route("websocket.connect", consumer, path=r"^/...$"), whose pattern sees the leading slash'
        )
    if callable(entry):
        return f"is {name_that_thing(entry)} itself; write route(channel, {getattr(entry, '__name__', 'consumer')})"
    return f"is {entry!r:.100}; expected route(), route_class() or include()"


def awaited_send(error: BaseException) -> str:
    """What to write where ``error`` is that of an ``await`` before ``send``, which returns nothing; "" elsewhere.

    It is how consumers of Channels 4 send.
    """
    traceback = error.__traceback__
    if traceback is None or not isinstance(error, TypeError) or not re.search("NoneType.*await", str(error)):
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    line = linecache.getline(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
    return "; send() returns nothing to await: write await ... .asend(...)" if ".send(" in line else ""
