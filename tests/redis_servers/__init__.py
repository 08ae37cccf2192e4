"""Real Redis servers for tests, in every shape ``hosts`` can name: started on free ports, stopped for sure.

All calls block; each class is used with ``with`` or with ``start()`` and ``stop()``. ``shared()`` gives one that the
whole test run uses: tests there keep apart by random prefixes. Tests that break a server start one of their own.
"""

from .cluster import SLOTS, ClusterServers, Move
from .process import HOST, RedisProcess, missing, redis_program, server_port, until
from .proxy import Network
from .sentinel import MASTER_NAME, SentinelServers
from .servers import CommandStat, Connections, Key, Servers, ShardServers, SingleServer, ValkeyServer, shared
from .tls import TLSServer, make_certificates

__all__ = [
    "HOST",
    "MASTER_NAME",
    "SLOTS",
    "ClusterServers",
    "CommandStat",
    "Connections",
    "Key",
    "Move",
    "Network",
    "RedisProcess",
    "SentinelServers",
    "Servers",
    "ShardServers",
    "SingleServer",
    "TLSServer",
    "ValkeyServer",
    "make_certificates",
    "missing",
    "redis_program",
    "server_port",
    "shared",
    "until",
]
