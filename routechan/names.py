"""The grammar of channel and group names.

Source: ``layers-and-protocol`` 1.1 and 1.2. Names consist of ASCII letters, digits, ``-``, ``_`` and ``.``, and are
shorter than 100 characters. A channel name may contain one type character: ``?`` (single-reader channel) or ``!``
(process-specific channel, read by the process that owns the part before it).
"""

from __future__ import annotations

import functools
import re
import secrets
import string
from collections.abc import Iterable
from zlib import crc32

from .exceptions import InvalidName, RoutingError

MAX_LENGTH = 99

_channel = re.compile(r"[a-zA-Z0-9\-_.]+(?:[?!][a-zA-Z0-9\-_.]*)?").fullmatch
_group = re.compile(r"[a-zA-Z0-9\-_.]+").fullmatch

#: Whether a name is that of a socket's reply channel, as servers of this library make it. Those of test clients are
#: others.
is_of_a_socket = re.compile(r"websocket\.send\.[^.!]{6}\.[^!]+!").match

_ALLOWED = "ASCII letters, digits, '-', '_' and '.'"


def check_channel_name(name: object) -> str:
    """The ``name``, checked to be that of a channel one can send to; raises ``InvalidName``."""
    if type(name) is str:
        checked_channel(name)
        return name
    return _check_channel(name)


def _check_channel(name: object) -> str:
    if not isinstance(name, str):
        hint = "; write message.reply_channel" if hasattr(name, "reply_channel") else ""
        raise InvalidName(f"a channel name is a str, not {type(name).__name__}: {name!r}{hint}")
    if len(name) > MAX_LENGTH:
        raise InvalidName(f"a channel name has at most {MAX_LENGTH} characters, not {len(name)}: {name!r}")
    if _channel(name) is None or name.endswith("?"):
        raise InvalidName(
            f"a channel name holds {_ALLOWED}, and at most one '!' or '?' (a '?' not at the end), not {name!r}"
        )
    return name


#: ``check_channel_name`` for what is known to be a str: a process uses the same names again and again.
checked_channel = functools.lru_cache(maxsize=16_384)(_check_channel)


def check_receive_name(name: object) -> str:
    """The ``name``, checked to be that of a channel one can receive from, as 1.x' ``receive`` takes it.

    Raises:
        InvalidName: It is no channel name, or a process-specific one that does not end at its ``!``.
    """
    checked = check_channel_name(name)
    if "!" in checked and not checked.endswith("!"):
        raise InvalidName(f"receive from {queue_name(checked)!r}, the part up to '!', not from {checked!r}")
    return checked


def check_group_name(name: object) -> str:
    """The ``name``, checked to be that of a group; raises ``InvalidName``."""
    if type(name) is str:
        checked_group(name)
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


#: ``check_group_name`` for what is known to be a str.
checked_group = functools.lru_cache(maxsize=16_384)(_check_group)


@functools.lru_cache(maxsize=16_384)
def queue_name(channel: str) -> str:
    """The queue of ``channel``: its name up to and including ``!``, or the whole name.

    Capacity and readers belong to a queue (``layers-and-protocol`` 1.2).
    """
    head, mark, _ = channel.partition("!")
    return head + mark


def as_text(name: object) -> object:
    """The ``name`` as str if it is bytes, which 1.x takes for ASCII (CH-01, RT-03, RT-05); else unchanged."""
    return name.decode("ascii") if isinstance(name, bytes) else name


def route_channels(channels: object, consumer: object) -> list[str]:
    """The names in ``channels``, the first argument of a ``route`` to ``consumer``; ``RoutingError`` for no names."""
    given = [channels] if isinstance(channels, (str, bytes)) else channels
    names = list(given) if isinstance(given, Iterable) else []
    if names and all(isinstance(name, (str, bytes)) and name for name in names):
        try:
            return [check_channel_name(as_text(name)) for name in names]
        except (InvalidName, UnicodeDecodeError) as error:
            raise RoutingError(
                f"route() takes channel names such as 'websocket.receive', not {channels!r:.100} "
                f"(its consumer is {consumer!r:.100}): {error}"
            ) from error
    raise RoutingError(
        "route() takes a channel name such as 'websocket.receive', or a list of them, as its first argument, "
        f"not {channels!r:.100} (its consumer is {consumer!r:.100})"
    )


def random_part(length: int) -> str:
    """A string of ``length`` random letters: unguessable, and different in each fork (weakness A13 of older layers)."""
    letters = string.ascii_letters
    number, part = secrets.randbelow(len(letters) ** length), ""  # asked once: each call costs microseconds
    for _ in range(length):
        number, letter = divmod(number, len(letters))
        part += letters[letter]
    return part


def new_process(mark: str) -> str:
    """A new name of a process on a layer: the ``mark`` of the layer, random letters, and letters that prove both."""
    name = mark + random_part(9)
    return name + _letters(name, 2)


def layer_mark(identity: str) -> str:
    """Three letters for a layer, made of its ``identity``: what its processes know of it, such as where it is.

    Returns:
        The letters.
    """
    return _letters(identity, 3)


def _letters(text: str, count: int) -> str:
    number = crc32(text.encode())
    return "".join(string.ascii_letters[number // 52**place % 52] for place in range(count))


def mark_of(queue: str) -> str | None:
    """The mark of the layer whose process made the name ``queue``; None where no layer of ours made it."""
    if not queue.endswith("!"):
        return None
    process = queue[queue.rfind(".") + 1 : -1]
    return process[:3] if len(process) == 14 and process[12:] == _letters(process[:12], 2) else None


class Marks:
    """The marks of a layer. Lifetime: layer. Thread-safe.

    Processes may write the same layer in several ways, such as ``localhost`` and its address. So a mark that is not
    known yet needs to be of another layer only where no process of this layer has it.

    Args:
        process: the name of this process on the layer.
    """

    def __init__(self, process: str) -> None:
        self._known = {process[:3]}
        #: Whether a queue was made by a process of another layer, as far as is known.
        self.is_foreign = functools.lru_cache(maxsize=16_384)(self._is_foreign)

    def _is_foreign(self, queue: str) -> bool:
        mark = mark_of(queue)
        return mark is not None and mark not in self._known

    def learn(self, queue: str) -> None:
        """Note that the process of ``queue`` is on this layer."""
        mark = mark_of(queue)
        if mark is not None and mark not in self._known:
            self._known.add(mark)
            self.is_foreign.cache_clear()


def foreign(name: str) -> InvalidName:
    """The error for a use of ``name``, a channel of another layer."""
    return InvalidName(
        f"{name!r} is a channel of another channel layer, made by the process that serves it there, and can be reached "
        "on that layer only. Use the layer that its message came on: message.channel_layer, or its alias, as in "
        "Group(name, alias='...')"
    )


def new_channel(prefix: str, process: str) -> str:
    """A new process-specific channel name: ``<prefix>.<process>!<random>``.

    Args:
        prefix: How it begins; dots at its end do not count.
        process: The layer's name of the process that reads the channel.
    """
    return check_channel_name(f"{prefix.rstrip('.')}.{process}!{random_part(12)}")
