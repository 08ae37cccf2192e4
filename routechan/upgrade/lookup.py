"""From a dotted name of 1.x to ours, as a careful person would write it in new code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .renames import (
    ASGI_REDIS,
    ASGIREF,
    ELSEWHERE,
    LATER,
    MODULES,
    OLD_LAYERS,
    PACKAGE,
    PARTIAL,
    REMOVED,
)

#: Module -> ours, where new code would not write what the alias has.
_BETTER: Mapping[str, str] = {
    "channels.tests": "routechan_django.test",
    "channels.tests.base": "routechan_django.test",
    "channels.tests.http": "routechan_django.test",
    "channels.test.http": "routechan_django.test",
    "channels.apps": "routechan_django.apps",
}

_MODULES: Mapping[str, str] = {
    **MODULES,
    **PARTIAL,
    **dict.fromkeys((*ASGI_REDIS, *ASGIREF), OLD_LAYERS),
    **_BETTER,
}

#: Whole dotted name -> ours.
_NAMES: Mapping[str, str] = {
    "channels.apps.ChannelsConfig": "routechan_django.apps.RoutechanConfig",
    **{f"channels.{name}": f"{home}.{name}" for name, home in PACKAGE.items()},
    **{f"{old}.{name}": f"{home}.{name}" for old, names in ELSEWHERE.items() for name, home in names.items()},
}

#: Names that modules of 1.x did not have, and those of later versions do.
_LATER_NAMES = {
    "channels.routing": {"ProtocolTypeRouter", "URLRouter", "ChannelNameRouter", "get_default_application"},
    "channels.auth": {"AuthMiddleware", "AuthMiddlewareStack", "UserLazyObject", "get_user", "login", "logout"},
    "channels.sessions": {"CookieMiddleware", "SessionMiddleware", "SessionMiddlewareStack"},
    "channels.exceptions": {"AcceptConnection", "StopConsumer"},
    "channels.security.websockets": {"OriginValidator", "AllowedHostsOriginValidator"},
}

#: Modules that went before 1.0, and what was in them.
_BEFORE_1 = {
    "channels.decorators": "a module before Channels 0.9; channels.sessions and channels.auth of 1.x are here "
    "routechan_django.sessions and routechan_django.auth, and linearize is enforce_ordering",
    "channels.backends": "a module before Channels 0.9; what is named in BACKEND is in routechan.layers",
    "channels.consumer_middleware": "a module of old branches; wrap consumers in decorators",
}

ROOTS = ("channels", "asgi_redis", "asgiref")


@dataclass(frozen=True)
class Found:
    """Where a name of 1.x is here."""

    #: The module of ours.
    module: str
    #: The name in it, with what follows; "" for the module itself.
    name: str = ""

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


def is_old(dotted: str) -> bool:
    """Whether a dotted name is of Channels, asgi_redis, or a module that today's asgiref lacks.

    Args:
        dotted: The name.
    """
    return dotted.split(".")[0] in ("channels", "asgi_redis") or _module_of(dotted) is not None


def look_up(dotted: str) -> Found | None:
    """Where ``dotted``, a module of 1.x or a name in one, is here; None if it was none."""
    parts = dotted.split(".")
    if is_later(dotted):
        return None
    for end in (3, 2):
        known = _NAMES.get(".".join(parts[:end]))
        if known:
            module, _, name = known.rpartition(".")
            return Found(module, ".".join([name, *parts[end:]]))
    old = _module_of(dotted)
    if old is None:
        return None
    rest = dotted[len(old) + 1 :].split(".") if dotted != old else []
    module = _MODULES[old]
    while rest and _is_module(f"{old}.{rest[0]}"):
        old, module = f"{old}.{rest[0]}", f"{module}.{rest[0]}"
        rest = rest[1:]
    return Found(module, ".".join(rest))


def is_later(dotted: str) -> bool:
    """Whether a name is of a version that is not 1.x, or was gone before.

    Args:
        dotted: The name.
    """
    return bool(advice_on(dotted))


def advice_on(dotted: str) -> str:
    """What to say about a name that 1.1.8 did not have; "" where nothing is known.

    Args:
        dotted: The name.
    """
    for module, advice in LATER.items():
        if _is_in(dotted, module):
            return f"{module} is a module of Channels 2 and later, not of 1.x; {advice}"
    for module, advice in {**REMOVED, **_BEFORE_1}.items():
        if _is_in(dotted, module):
            return f"{module} {'is ' if module in _BEFORE_1 else ''}{advice}"
    for module, names in _LATER_NAMES.items():
        if dotted.startswith(f"{module}.") and dotted[len(module) + 1 :].split(".")[0] in names:
            return f"{dotted} is a name of Channels 2 and later, not of 1.x; what replaces it is a question of design"
    return ""


def _is_in(dotted: str, module: str) -> bool:
    return dotted == module or dotted.startswith(f"{module}.")


def _module_of(dotted: str) -> str | None:
    """The longest part of ``dotted`` that names a module in the table."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module in _MODULES:
            return module
    return None


#: The submodules of packages whose names the table leaves to the rule.
_SUBMODULES = {
    *("channels.binding.base", "channels.binding.websockets", "channels.generic.base", "channels.generic.websockets"),
    *("channels.security.websockets", "channels.test.base", "channels.test.liveserver", "channels.test.websocket"),
    *("channels.delay.apps", "channels.delay.models", "channels.delay.worker", "channels.delay.management"),
    *("channels.delay.management.commands", "channels.delay.management.commands.rundelay"),
    *("channels.management.commands", "channels.management.commands.runserver"),
    "channels.management.commands.runworker",
}


def _is_module(dotted: str) -> bool:
    return dotted in _SUBMODULES or dotted in _MODULES
