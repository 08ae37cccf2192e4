"""Where Redis is: the option ``hosts``, read and checked, and redis-py clients made from it.

Forms of one host, those of asgi_redis and of channels_redis:

- a URL, ``"redis://:password@host:6379/0"``, ``"rediss://..."`` or ``"unix:///path?db=1"``;
- a pair, ``("localhost", 6379)``;
- a dict of redis-py's connection options, ``{"host": ..., "port": ..., "password": ..., "ssl": True}``,
  ``{"unix_socket_path": ...}`` or ``{"address": url, ...}``; what the URL itself says wins;
- Sentinel, ``{"sentinels": [("host", 26379), ...], "master_name": "mymaster", "sentinel_kwargs": {...}, ...}``;
- Cluster, ``{"cluster": True, "address": url}``, or ``"host"`` and ``"port"``, or
  ``"startup_nodes": [("host", 7000), ...]``, beside connection options; it must be the only host.

Several hosts are shards. Reading ``hosts`` makes no connection. A password is in no error and no ``repr``.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster, cleanup_kwargs
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from ...exceptions import InvalidChannelLayerError
from ...inspection import with_article

SINGLE, SENTINEL, CLUSTER = "single", "sentinel", "cluster"

DEFAULT_HOSTS = ("redis://localhost:6379",)

#: Seconds for one Sentinel: they are asked one after the other, and a silent one must not hold up a failover.
SENTINEL_PATIENCE = 2.0

_SCHEMES = ("redis", "rediss", "unix")
_TIMEOUTS = ("socket_timeout", "socket_connect_timeout")
_TCP_ONLY = ("host", "port", "socket_keepalive", "socket_keepalive_options", "socket_type")
_ASKED_LIKE_MASTERS = ("socket_keepalive", "socket_keepalive_options", *_TIMEOUTS)
_FORMS = (
    "address",
    "unix_socket_path",
    "ssl",
    "sentinels",
    "master_name",
    "sentinel_kwargs",
    "cluster",
    "startup_nodes",
)
_CLUSTER_OPTIONS = ("address_remap", "dynamic_startup_nodes", "require_full_coverage")

#: Connection options whose other values would break the layer: name -> (the values it takes, why).
_SETTLED: dict[str, tuple[tuple[Any, ...], str]] = {
    "decode_responses": ((False,), "messages are bytes"),
    "protocol": ((2, "2"), "the layer reads RESP2 replies"),
    "max_connections": ((), "the layer keeps a few connections in each process, however much it is used"),
    "is_master": ((True,), "the layer writes to the master"),
}

#: Options of older layers that have no meaning in this one -> why.
GONE = {
    "stats_prefix": "all of its keys are under `prefix`",
    "services": 'for Sentinel write hosts=[{"sentinels": [(host, port), ...], "master_name": service}]',
    "sentinel_refresh_interval": "Sentinel is asked whenever a connection to the master is made; for Sentinel write "
    'hosts=[{"sentinels": [(host, port), ...], "master_name": service}]',
    "random_prefix_length": "equal messages are told apart without it",
    "serializer_format": "content always travels as msgpack",
    "on_disconnect": "it reconnects by itself",
    "on_reconnect": "it reconnects by itself",
}


@dataclass(frozen=True, eq=False)
class Host:
    """One entry of ``hosts``: a server, a master that Sentinels know, or a cluster. Lifetime: layer."""

    #: ``SINGLE``, ``SENTINEL`` or ``CLUSTER``.
    kind: str
    #: Where it is, without credentials.
    address: str
    #: Options of redis-py's ``ConnectionPool``, or of its ``RedisCluster``.
    options: Mapping[str, Any] = field(repr=False)
    #: The Sentinels, or the cluster's first nodes.
    nodes: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    #: The name that the Sentinels know the master by.
    master_name: str = field(default="", repr=False)
    #: Options of redis-py for the connections to the Sentinels.
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.address

    @property
    def socket_timeout(self) -> float:
        """Seconds after which a connection that gives no answer is given up."""
        return float(self.options["socket_timeout"])

    def client(self) -> redis.Redis:
        """A client of a server or of a Sentinel's master, not connected yet, whose ``close`` closes its pool."""
        return redis.Redis.from_pool(self._pool())

    def cluster_client(self) -> RedisCluster:
        """A client of the cluster; ``ConnectionError`` of redis-py if no node answers, ``TypeError`` if it is none."""
        if self.kind != CLUSTER:
            raise TypeError(f"{self} is no cluster; use client()")
        options = dict(self.options)
        if int(redis.__version__.partition(".")[0]) < 6:
            options["cluster_error_retry_attempts"] = 0  # redis-py 5 ignores `retry` here
        nodes = [ClusterNode(host, port) for host, port in self.nodes]  # type: ignore[no-untyped-call]
        try:
            return RedisCluster(startup_nodes=nodes, **options)
        except RedisClusterException as error:  # not a RedisError, unlike all others
            raise redis.exceptions.ConnectionError(str(error)) from error

    def _pool(self) -> ConnectionPool:
        if self.kind == CLUSTER:
            raise TypeError(f"{self} is a cluster; use cluster_client()")
        if self.kind == SINGLE:
            return ConnectionPool(**self.options)
        sentinel = Sentinel(self.nodes, sentinel_kwargs=dict(self.sentinel_options))  # type: ignore[no-untyped-call]
        return SentinelConnectionPool(self.master_name, sentinel, **self.options)  # type: ignore[no-untyped-call]


def parse_hosts(hosts: Any, connection_kwargs: Mapping[str, Any] | None = None) -> list[Host]:
    """The hosts that ``hosts`` names; None is a server on this machine.

    ``connection_kwargs`` are added to each; a host's own options win. For a Sentinel host they are the options of the
    connection to the master; its Sentinels are asked with the same keepalive, with the same timeouts but at most 2
    seconds, and with ``sentinel_kwargs``. Raises ``InvalidChannelLayerError``.
    """
    if connection_kwargs is not None and not isinstance(connection_kwargs, Mapping):
        raise InvalidChannelLayerError(
            f"connection_kwargs is a dict of redis-py's connection options, not {_kind(connection_kwargs)}"
        )
    given = _entries(DEFAULT_HOSTS if hosts is None else hosts)
    parsed = [_Entry(f"hosts[{place}]", entry, connection_kwargs or {}).host() for place, entry in enumerate(given)]
    if len(parsed) > 1:
        for place, host in enumerate(parsed):
            if host.kind == CLUSTER:
                raise InvalidChannelLayerError(
                    f"hosts[{place}] is a cluster ({host}) beside other hosts; a cluster shards by itself and must be "
                    'the only host. Its other nodes go into its "startup_nodes": [(host, port), ...]'
                )
    return parsed


def refuse_unknown(options: Mapping[str, object], known: Sequence[str]) -> None:
    """Raise ``InvalidChannelLayerError`` for the first of a layer's ``options`` that is not ``known``."""
    for name in options:
        if name in GONE:
            raise InvalidChannelLayerError(f"the Redis layer has no option {name!r}: {GONE[name]}. Remove {name!r}")
        if name not in known:
            raise InvalidChannelLayerError(
                f"the Redis layer has no option {name!r}{_did_you_mean(name, known)}; it has {', '.join(known)}"
            )


class _Entry:
    """One entry of ``hosts`` while it is read. Lifetime: the reading of it."""

    def __init__(self, where: str, given: Any, shared: Mapping[str, Any]) -> None:
        self.where = where
        self.own = self._as_options(given)
        self.shared = shared

    def host(self) -> Host:
        own = self.own
        if own.pop("cluster", False):
            return self._cluster(own)
        if "sentinels" in own or "master_name" in own:
            return self._sentinel(own)
        return self._single(own)

    def _single(self, own: dict[str, Any]) -> Host:
        options = self._connection(own)
        ssl = options.pop("ssl", False)
        if "path" not in options:
            options.setdefault("connection_class", SSLConnection if ssl else Connection)
            ssl = ssl or issubclass(options["connection_class"], SSLConnection)
            return self._checked(Host(SINGLE, f"{_location(options, ssl)}/{options.get('db', 0)}", options))
        if ssl:
            self._refuse("has both a unix socket and ssl; a unix socket has no TLS, remove one")
        for name in _TCP_ONLY:
            if name not in own:
                options.pop(name, None)
        options.setdefault("connection_class", UnixDomainSocketConnection)
        return self._checked(Host(SINGLE, f"unix://{options['path']}?db={options.get('db', 0)}", options))

    def _sentinel(self, own: dict[str, Any]) -> Host:
        for name in ("address", "host", "port", "path", "unix_socket_path"):
            if name in own:
                self._refuse(
                    f'has both "sentinels" and {name!r}; the Sentinels say where the master is, remove {name!r}'
                )
        sentinels = self._pairs(own.pop("sentinels", None), "sentinels", 26379)
        master_name = own.pop("master_name", None)
        if not isinstance(master_name, str) or not master_name:
            self._refuse('has "sentinels" without "master_name"; write the name that the Sentinels know the master by')
        sentinel_kwargs = own.pop("sentinel_kwargs", None) or {}
        if not isinstance(sentinel_kwargs, Mapping):
            self._refuse(f"['sentinel_kwargs'] is a dict of redis-py's options, not {_kind(sentinel_kwargs)}")
        options = self._connection(own, "is found by Sentinel")
        asked_with = {
            **_defaults(),
            **{name: options[name] for name in _ASKED_LIKE_MASTERS if name in options},
            **{name: min(options[name], SENTINEL_PATIENCE) for name in _TIMEOUTS},
            **self._timeouts(sentinel_kwargs, "sentinel_kwargs"),
        }
        places = ",".join(_place(*sentinel) for sentinel in sentinels)
        host = Host(SENTINEL, f"sentinel://{places}/{master_name}", options, sentinels, master_name, asked_with)
        self._try(lambda: redis.Redis(**asked_with), host.address, asked_with, redis.Redis, "sentinel_kwargs")
        return self._checked(host)

    def _cluster(self, own: dict[str, Any]) -> Host:
        if "sentinels" in own or "master_name" in own:
            self._refuse('is both "cluster" and Sentinel; write one of them')
        nodes = self._pairs(own.pop("startup_nodes"), "startup_nodes", 6379) if "startup_nodes" in own else ()
        manage = {"require_full_coverage": False}  # the default of redis-py 5, not of 6 and later
        manage.update({name: own.pop(name) for name in _CLUSTER_OPTIONS if name in own})
        options = self._connection(own, "is a cluster")
        if "path" in options:
            self._refuse("is a cluster on a unix socket; redis-py reaches a cluster by TCP only")
        if str(options.pop("db", 0)) != "0":
            self._refuse("is a cluster with a database number; a cluster has database 0 only, remove it")
        host, port = options.pop("host", None), options.pop("port", 6379)
        if host is not None or not nodes:
            nodes = ((host or "localhost", port), *nodes)
        ssl = options.get("ssl", False)
        address = f"redis{'s' if ssl else ''}://{','.join(_place(*node) for node in nodes)} (cluster)"
        plain = {name: value for name, value in options.items() if name != "ssl"}
        self._checked(Host(SINGLE, address, {**plain, "connection_class": SSLConnection if ssl else Connection}))
        taken = {"retry": options["retry"], **cleanup_kwargs(**options)}  # type: ignore[no-untyped-call]
        for name in options:
            if name not in taken and (name in self.own or name in self.shared):
                self._refuse_option(name, address, f"which redis-py {redis.__version__} does not take for a cluster")
        return Host(CLUSTER, address, {**taken, **manage}, nodes)

    def _connection(self, own: dict[str, Any], found_otherwise: str = "") -> dict[str, Any]:
        """Our defaults, what is shared, the host's own options and its URL; later ones win.

        TLS is ``ssl`` and a unix socket is ``path`` in it, wherever they were written.
        """
        if "address" in own:
            own.update(self._url(own.pop("address")))
        options = {**self.shared, **own}
        for name, (values, why) in _SETTLED.items():
            if name in options and options.pop(name) not in values:
                self._refuse(f"has the option {name!r}, which the layer settles itself: {why}. Remove it", name)
        if found_otherwise and "connection_class" in options:
            self._refuse(f'{found_otherwise} and cannot have a "connection_class"; for TLS write "ssl": True')
        options = {**_defaults(), **self._timeouts(options)}
        if "unix_socket_path" in options:
            options["path"] = options.pop("unix_socket_path")
        if "port" in options:
            options["port"] = self._port(options["port"], "")
        return options

    def _url(self, url: Any) -> dict[str, Any]:
        if not isinstance(url, str):
            self._refuse(f'has an address that is no URL but {_kind(url)}; write "redis://host:6379/0"')
        scheme = url.partition("://")[0]
        if scheme == url or not re.fullmatch(r"[\w+.-]+", scheme):
            self._refuse('is no URL; write "redis://host:6379/0" or ("host", 6379)')
        if scheme not in _SCHEMES:
            advice = "write redis://, rediss:// (TLS) or unix://"
            if "sentinel" in scheme:
                advice = 'for Sentinel write {"sentinels": [("host", 26379)], "master_name": "mymaster"}'
            elif "cluster" in scheme:
                advice = 'for a cluster write {"cluster": True, "address": "redis://host:6379"}'
            self._refuse(f"is a URL with the unknown scheme {scheme!r:.40}; {advice}")
        try:
            parts = urlsplit(url)
            # "/", "?" or "#" in a password ends the host there, and redis-py would connect to another one
            torn = scheme != "unix" and "@" in parts.path + parts.query + parts.fragment and "@" not in parts.netloc
            options: dict[str, Any] = {} if torn else parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError:
            torn = True
        if torn:
            # urllib's own text may hold a piece of the password
            self._refuse(
                f"is a {scheme}:// URL that cannot be read; write {scheme}://user:password@host:port/db, with special "
                "characters in the password percent-encoded (urllib.parse.quote)"
            )
        if issubclass(options.pop("connection_class", Connection), SSLConnection):
            options["ssl"] = True
        return options

    def _timeouts(self, options: Mapping[str, Any], inside: str | None = None) -> dict[str, Any]:
        """``options`` with checked timeouts; None is our default, because a dead peer must be noticed."""
        checked = dict(options)
        for name in _TIMEOUTS:
            if name not in checked:
                continue
            value = checked[name]
            if value is None:
                del checked[name]
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                self._refuse(f"has the {name} {value!r:.40}; expected a positive number of seconds", name, inside)
        return checked

    def _pairs(self, given: Any, name: str, port: int) -> tuple[tuple[str, int], ...]:
        if not isinstance(given, (list, tuple)) or not given:
            self._refuse(f'needs "{name}": [("host", {port}), ...], not {_kind(given)}')
        return tuple(self._pair(pair, f"[{name!r}][{place}]") for place, pair in enumerate(given))

    def _pair(self, given: Any, what: str = "") -> tuple[str, int]:
        if not isinstance(given, (list, tuple)) or len(given) != 2 or not isinstance(given[0], str) or not given[0]:
            self._refuse(f'{what} is {_kind(given)}; expected (host, port) such as ("localhost", 6379)')
        return given[0], self._port(given[1], what)

    def _port(self, given: Any, what: str) -> int:
        number = int(given) if isinstance(given, str) and given.isdecimal() else given
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 65536:
            self._refuse(
                f"{what} has a port that is no number from 1 to 65535; expected (host, port) such as "
                '("localhost", 6379)'
            )
        return number

    def _as_options(self, given: Any) -> dict[str, Any]:
        if given is None:
            self._refuse("is None; is an environment variable with the address missing?")
        if isinstance(given, str):
            return {"address": given}
        if isinstance(given, (list, tuple)):
            host, port = self._pair(given)
            return {"host": host, "port": port}
        if isinstance(given, Mapping):
            return dict(given)
        self._refuse(f"is {_kind(given)}; expected a URL, a (host, port) pair or a dict of redis-py's options")

    def _checked(self, host: Host) -> Host:
        """``host``, once redis-py has taken its options: it does so when it makes a connection object."""

        def make() -> None:
            pool = host._pool()
            pool.connection_class(**pool.connection_kwargs)

        kind = host.options.get("connection_class", SSLConnection if host.options.get("ssl") else Connection)
        self._try(make, host.address, host.options, kind)
        return host

    def _try(
        self,
        make: Callable[[], object],
        address: str,
        options: Mapping[str, Any],
        kind: type,
        inside: str | None = None,
    ) -> None:
        try:
            make()
        except (TypeError, ValueError, AttributeError, RedisError) as error:
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if unknown is None or unknown[1] not in options:
                self._refuse(
                    f"({address}) has options that redis-py {redis.__version__} refuses: {error}", None, inside
                )
            name = unknown[1]
            problem = f"which redis-py {redis.__version__} does not know{_did_you_mean(name, _parameters(kind))}"
            if name in _parameters(SSLConnection):
                problem = 'which is for TLS; write "ssl": True too, or a rediss:// URL'
            self._refuse_option(name, address, problem, inside)

    def _refuse_option(self, name: str, address: str, problem: str, inside: str | None = None) -> NoReturn:
        self._refuse(f"({address}) has the option {name!r}, {problem}", name, inside)

    def _refuse(self, problem: str, option: str | None = None, inside: str | None = None) -> NoReturn:
        """Raise, saying where in the settings the mistake is; no cause, whose text could hold a password."""
        if inside is not None:
            where = f"{self.where}[{inside!r}]"
        elif option is not None and option in self.shared and option not in self.own:
            where = f"connection_kwargs, for {self.where}"
        else:
            where = self.where
        raise InvalidChannelLayerError(f"{where}{'' if problem.startswith('[') else ' '}{problem.strip()}") from None


def _entries(hosts: Any) -> Sequence[Any]:
    if isinstance(hosts, (str, bytes)):
        raise InvalidChannelLayerError(f'hosts is {_kind(hosts)}, not a list of hosts; write hosts=["redis://..."]')
    if isinstance(hosts, Mapping):
        raise InvalidChannelLayerError("hosts is a dict, not a list of hosts; write hosts=[{...}]")
    if not isinstance(hosts, (list, tuple)):
        raise InvalidChannelLayerError(
            f'hosts is {_kind(hosts)}, not a list of hosts; write hosts=[("localhost", 6379)]'
        )
    if not hosts:
        raise InvalidChannelLayerError('hosts is empty; write hosts=[("localhost", 6379)], or leave it out for that')
    if len(hosts) == 2 and isinstance(hosts[0], str) and isinstance(hosts[1], int):
        raise InvalidChannelLayerError(
            "hosts is one (host, port) pair, not a list of hosts; write hosts=[(host, port)]"
        )
    return hosts


def _defaults() -> dict[str, Any]:
    return {
        "protocol": 2,
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),  # a retried command may deliver a message twice
        "socket_timeout": 15.0,
        "socket_connect_timeout": 5.0,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "max_connections": 2**31,  # a pool counts the connections it ever made; redis-py 8 stops at 100
    }


def _location(options: Mapping[str, Any], ssl: bool) -> str:
    return f"redis{'s' if ssl else ''}://{_place(options.get('host', 'localhost'), options.get('port', 6379))}"


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parameters(kind: type) -> list[str]:
    """The options of a host: what a connection class and its bases take, and what we read ourselves."""
    found = dict.fromkeys(_FORMS)
    for base in kind.__mro__[:-1]:
        if "__init__" in vars(base):
            found.update(dict.fromkeys(inspect.signature(vars(base)["__init__"]).parameters))
    return [name for name in found if name not in ("self", "kwargs")]


def _kind(thing: object) -> str:
    """The type of what came: the thing itself may hold a password."""
    if thing is None:
        return "None"
    if isinstance(thing, (list, tuple)):
        return f"a {type(thing).__name__} of {len(thing)}"
    return with_article(type(thing).__name__)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
