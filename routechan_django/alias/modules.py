"""``channels.message`` and ``channels.routing``: modules of the core with the further names of 1.x."""

from __future__ import annotations

from types import ModuleType

from django.utils.module_loading import import_string

import routechan.message
import routechan.routing
from routechan.upgrade.renames import ELSEWHERE

from .facade import Facade
from .late import Refused


def message() -> ModuleType:
    """The module ``channels.message``."""
    return _facade("channels.message", routechan.message)


def routing() -> ModuleType:
    """The module ``channels.routing``; from now on an entry with a mistake refuses when it is used, as in 1.x."""
    routechan.routing.refuse = Refused
    return _facade("channels.routing", routechan.routing)


def _facade(name: str, ours: ModuleType) -> Facade:
    return Facade(name, ours, {each: import_string(f"{home}.{each}") for each, home in ELSEWHERE[name].items()})
