"""The grammar of channel and group names.

Source: ``layers-and-protocol`` 1.1 and 1.2. Names are ASCII letters, digits, ``-``, ``_`` and ``.``,
shorter than 100 characters. A channel may hold one type character: ``?`` (read in one place) or
``!`` (read by the process that owns the part before it).
"""

from __future__ import annotations

import functools
import re
import secrets
import string

from .exceptions import InvalidName

MAX_LENGTH = 99

_channel = re.compile(r"[a-zA-Z0-9\-_.]+(?:[?!][a-zA-Z0-9\-_.]*)?").fullmatch
_group = re.compile(r"[a-zA-Z0-9\-_.]+").fullmatch

_ALLOWED = "ASCII letters, digits, '-', '_' and '.'"


def check_channel_name(name: object) -> str:
    """Return ``name`` if it names a channel one can send to, else raise ``InvalidName``."""
    if type(name) is str:
        _checked_channel(name)
        return name
    return _check_channel(name)


def _check_channel(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidName(f"a channel name is a str, not {type(name).__name__}: {name!r}")
    if len(name) > MAX_LENGTH:
        raise InvalidName(f"a channel name has at most {MAX_LENGTH} characters, not {len(name)}: {name!r}")
    if _channel(name) is None or name.endswith("?"):
        raise InvalidName(
            f"a channel name holds {_ALLOWED}, and at most one '!' or '?' (a '?' not at the end), not {name!r}"
        )
    return name


# The names a process uses come again and again.
_checked_channel = functools.lru_cache(maxsize=16_384)(_check_channel)


def check_receive_name(name: object) -> str:
    """As ``check_channel_name``; a process-specific name must end at its ``!`` (1.x ``receive``)."""
    checked = check_channel_name(name)
    if "!" in checked and not checked.endswith("!"):
        raise InvalidName(f"receive from {queue_name(checked)!r}, the part up to '!', not from {checked!r}")
    return checked


def check_group_name(name: object) -> str:
    """Return ``name`` if it names a group, else raise ``InvalidName``."""
    if type(name) is str:
        _checked_group(name)
        return name
    return _check_group(name)


def _check_group(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidName(f"a group name is a str, not {type(name).__name__}: {name!r}")
    if len(name) > MAX_LENGTH:
        raise InvalidName(f"a group name has at most {MAX_LENGTH} characters, not {len(name)}: {name!r}")
    if _group(name) is None:
        raise InvalidName(f"a group name holds {_ALLOWED}, not {name!r}")
    return name


_checked_group = functools.lru_cache(maxsize=16_384)(_check_group)


def queue_name(channel: str) -> str:
    """The queue a channel belongs to: up to and including ``!``, else the whole name.

    This is the identity for capacity and for who reads (``layers-and-protocol`` 1.2).
    """
    head, mark, _ = channel.partition("!")
    return head + mark


def as_text(name: object) -> object:
    """Names given as bytes are ASCII text, as in 1.x (CH-01, RT-03, RT-05); others stay as given."""
    return name.decode("ascii") if isinstance(name, bytes) else name


def random_part(length: int) -> str:
    """Letters nobody can guess and no fork repeats (weakness A13 of older layers)."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(length))


def new_channel(prefix: str, process: str) -> str:
    """An unused channel of ``process``: ``<prefix>.<process>!<random>``."""
    return check_channel_name(f"{prefix.rstrip('.')}.{process}!{random_part(12)}")
