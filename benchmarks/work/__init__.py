"""Every kind of work, in the order in which it is done."""

from __future__ import annotations

from .base import Work
from .chat import CHAT
from .connect import CONNECT, CONNECT_SESSIONS
from .echo import ECHO, SESSIONS
from .fanout import FANOUT, TWO_SERVERS
from .latency import LATENCY
from .layers import IN_FLIGHT, MEMBERS, ONE_AT_A_TIME, REDIS_TIME, SCRIPT, SIZES
from .memory import MEMORY
from .pages import PAGES
from .slow_reader import SLOW_READER

_ALL: list[Work] = [
    *(ECHO, SESSIONS, FANOUT, TWO_SERVERS, CONNECT, CONNECT_SESSIONS, MEMORY, LATENCY, CHAT, PAGES, SLOW_READER),
    *(*IN_FLIGHT, MEMBERS, REDIS_TIME, SIZES, ONE_AT_A_TIME, SCRIPT),
]
WORK = {work.name: work for work in _ALL}
