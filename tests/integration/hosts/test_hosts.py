"""Every form of ``hosts`` reaches the Redis it names; every mistake in it says what to write, without passwords."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers.redis.hosts import Host, parse_hosts, refuse_unknown

from .conftest import PASSWORD


def one(form: Any, connection_kwargs: dict[str, Any] | None = None) -> Host:
    (host,) = parse_hosts([form], connection_kwargs)
    return host


def options(host: Host) -> dict[str, Any]:
    """What a connection of ``host`` is made with."""
    return dict(host.client().connection_pool.connection_kwargs)


def answers(pool: Any, *commands: tuple[str, ...]) -> list[Any]:
    """The raw answers to ``commands`` on a connection made by hand, as the layer makes its own."""
    connection = pool.make_connection()
    try:
        connection.connect()
        for command in commands:
            connection.send_packed_command(connection.pack_command(*command))
        return [connection.read_response() for _ in commands]
    finally:
        connection.disconnect()


def client_info(host: Host) -> dict[str, str]:
    """What the server says about a connection of ``host``; redis-py's own client has used it before."""
    client = host.client()
    assert client.ping() is True
    ((text),) = answers(client.connection_pool, ("CLIENT", "INFO"))
    client.close()
    return dict(part.split("=", 1) for part in text.decode().split())


# The forms, against real servers


@pytest.mark.parametrize(
    ("form", "shared", "db"),
    [
        ("redis://:hidden@127.0.0.1:{port}/2", {}, "2"),
        ("redis://127.0.0.1:{port}?db=2&password=hidden&socket_timeout=3", {}, "2"),
        (("127.0.0.1", "{port}"), {"password": PASSWORD}, "0"),
        (["127.0.0.1", "{port}"], {"password": PASSWORD, "db": 1}, "1"),
        ({"host": "127.0.0.1", "port": "{port}", "password": PASSWORD, "db": 3}, {"db": 1, "password": "no"}, "3"),
        ({"address": "redis://127.0.0.1:{port}/4", "password": PASSWORD, "db": 1, "ssl": False}, {}, "4"),
        ("redis://:hidden@127.0.0.1:{port}", {"db": 7}, "7"),
        ("unix://:hidden@{folder}/socket?db=5", {"socket_keepalive": True, "socket_keepalive_options": {}}, "5"),
        ({"unix_socket_path": "{folder}/socket", "password": PASSWORD, "db": 6}, {"host": "nowhere"}, "6"),
        ({"path": "{folder}/socket", "password": PASSWORD}, {}, "0"),
    ],
)
def test_forms_of_one_server(form: Any, shared: dict[str, Any], db: str, server: int, folder: Path) -> None:
    """Each form of asgi_redis and channels_redis connects; a host's own options win over connection_kwargs."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.format(port=server, folder=folder)
        if isinstance(value, (list, tuple)):
            return type(value)(filled(item) for item in value)
        return {key: filled(item) for key, item in value.items()} if isinstance(value, dict) else value

    info = client_info(one(filled(form), shared))
    assert info["db"] == db
    assert info["resp"] == "2"


def test_sentinel(sentinel: int, server: int) -> None:
    """A Sentinel host is the master that the Sentinels name, asked with the options of sentinel_kwargs."""
    form = {
        "sentinels": [("127.0.0.1", 1), ("127.0.0.1", sentinel)],
        "master_name": "mymaster",
        "sentinel_kwargs": {"password": "watch"},
        "password": PASSWORD,
        "db": 2,
    }
    info = client_info(one(form))
    assert info["db"] == "2"
    assert info["laddr"] == f"127.0.0.1:{server}"


@pytest.mark.parametrize(
    "form", [{"address": "rediss://localhost:{}"}, {"host": "localhost", "port": "{}", "ssl": True}]
)
def test_tls(form: dict[str, Any], tls: int, folder: Path) -> None:
    """rediss:// and ssl=True speak TLS and check the certificate."""
    form = {key: value.format(tls) if isinstance(value, str) else value for key, value in form.items()}
    host = one({**form, "ssl_ca_certs": str(folder / "certificate")})
    assert str(host) == f"rediss://localhost:{tls}/0"
    assert client_info(host)["db"] == "0"
    with pytest.raises(redis.exceptions.ConnectionError):
        one(form).client().ping()


@pytest.mark.parametrize("kind", ["address", "host", "startup_nodes"])
def test_cluster(kind: str, cluster: list[int]) -> None:
    """A cluster is found from a URL, from host and port, or from any of its nodes that answers."""
    first, second = cluster
    forms: dict[str, dict[str, Any]] = {
        "address": {"address": f"redis://127.0.0.1:{first}/0"},
        "host": {"host": "127.0.0.1", "port": second},
        "startup_nodes": {"startup_nodes": [("127.0.0.1", 1), ("127.0.0.1", first)], "socket_timeout": 7},
    }
    host = one({"cluster": True, **forms[kind]})
    client = host.cluster_client()
    assert client.nodes_manager._require_full_coverage is False, "what is left of a cluster is used"
    assert sorted(node.port for node in client.get_primaries()) == sorted(cluster)
    for node in client.get_primaries():
        pool = client.get_redis_connection(node).connection_pool
        connection = pool.make_connection()
        assert connection.socket_timeout == host.socket_timeout
        assert connection.retry._retries == 0
        assert answers(pool, ("CLUSTER", "COUNTKEYSINSLOT", "0")) == [0]
    assert client.set("a", "1") is True
    assert client.get("a") == b"1"
    client.close()


def test_cluster_retries_nothing(cluster: list[int]) -> None:
    """redis-py's own retries are off in a cluster too: a command that was sent twice may be delivered twice."""
    client = one({"cluster": True, "address": f"redis://127.0.0.1:{cluster[0]}"}).cluster_client()
    tries = []

    def fail(*args: Any, **options: Any) -> Any:
        tries.append(args)
        raise redis.exceptions.TimeoutError("no answer")

    client._execute_command = fail
    with pytest.raises(redis.exceptions.TimeoutError):
        client.rpush("a", "1")
    client.close()
    assert len(tries) == 1


def test_a_cluster_of_no_answer() -> None:
    """A cluster client connects: an unreachable cluster is a connection error, which the layer can wait out."""
    with pytest.raises(redis.exceptions.ConnectionError, match="127.0.0.1:1"):
        one({"cluster": True, "host": "127.0.0.1", "port": 1}).cluster_client()


def test_nothing_is_left_open(server: int) -> None:
    """A client that is closed and forgotten leaves no socket to the garbage collector (warnings are errors)."""
    client = one(f"redis://:hidden@127.0.0.1:{server}").client()
    client.ping()
    client.close()
    del client
    gc.collect()


# What the connections are like


def test_defaults() -> None:
    """No option: this machine; bytes, RESP2, timeouts, keepalive, and no retries inside redis-py."""
    (host,) = parse_hosts(None)
    assert str(host) == "redis://localhost:6379/0"
    connection = host.client().connection_pool.make_connection()
    assert int(connection.protocol) == 2
    assert connection.encoder.decode_responses is False
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (15, 5)
    assert connection.socket_keepalive is True
    assert connection.health_check_interval == 0
    assert connection.retry._retries == 0
    assert host.socket_timeout == 15


def test_a_pool_makes_as_many_connections_as_it_takes() -> None:
    """A pool counts what it ever made; redis-py 8 would refuse the 101st reconnect of a long life."""
    for form in ({"host": "a"}, {"sentinels": [("a", 1)], "master_name": "m"}):
        pool = one(form).client().connection_pool
        for _ in range(150):
            pool.make_connection()


def test_options_of_the_user_win() -> None:
    """What connection_kwargs say takes the place of our defaults, what the host says that of both."""
    retry = Retry(NoBackoff(), 3)
    shared = {"socket_timeout": 3, "socket_connect_timeout": None, "health_check_interval": 9, "retry": retry}
    first, second = parse_hosts([("a", 1), {"host": "b", "socket_timeout": 0.5, "socket_keepalive": False}], shared)
    assert options(first)["socket_timeout"] == first.socket_timeout == 3
    assert options(first)["socket_connect_timeout"] == 5, "None is our default"
    assert options(first)["health_check_interval"] == 9
    assert options(first)["retry"] is retry
    assert options(second)["socket_timeout"] == second.socket_timeout == 0.5
    assert options(second)["socket_keepalive"] is False


def test_how_sentinels_are_asked() -> None:
    """Sentinels get the host's socket options, an answer within 2 seconds, and sentinel_kwargs win; no password."""
    form = {"sentinels": [("a", 1)], "master_name": "m", "password": PASSWORD, "socket_keepalive": False}
    plain = one(form, {"socket_timeout": 30})
    assert plain.socket_timeout == 30
    asked = plain.client().connection_pool.sentinel_manager.sentinels[0].connection_pool.connection_kwargs
    assert (asked["socket_timeout"], asked["socket_connect_timeout"], asked["socket_keepalive"]) == (2, 2, False)
    assert asked.get("password") is None
    assert asked["retry"]._retries == 0
    asked = one({**form, "sentinel_kwargs": {"socket_timeout": 9}}).sentinel_options
    assert asked["socket_timeout"] == 9


def test_sentinel_masters_by_tls() -> None:
    """ssl goes to the master's connections."""
    form = {"sentinels": [("a", 1)], "master_name": "m", "ssl": True, "ssl_cert_reqs": "none"}
    assert issubclass(one(form).client().connection_pool.connection_class, redis.connection.SSLConnection)


def test_shards() -> None:
    """Several hosts keep their order: it decides which channel is where."""
    hosts = parse_hosts(["redis://a", ("b", 2), {"sentinels": [("c", 3)], "master_name": "m"}])
    assert [str(host) for host in hosts] == ["redis://a:6379/0", "redis://b:2/0", "sentinel://c:3/m"]


@pytest.mark.parametrize(
    ("form", "address"),
    [
        ("redis://me:hidden@h:1/2?password=hidden", "redis://h:1/2"),
        ("rediss://:hidden@h", "rediss://h:6379/0"),
        ("unix://:hidden@/x/y?db=1", "unix:///x/y?db=1"),
        ({"host": "::1", "password": "hidden"}, "redis://[::1]:6379/0"),
        (
            {
                "sentinels": [("a", 1), ("b", "2")],
                "master_name": "m",
                "password": "hidden",
                "sentinel_kwargs": {"password": "hidden"},
            },
            "sentinel://a:1,b:2/m",
        ),
        ({"cluster": True, "address": "rediss://:hidden@h:7000"}, "rediss://h:7000 (cluster)"),
        ({"cluster": True, "startup_nodes": [("a", 1), ("b", 2)], "password": "hidden"}, "redis://a:1,b:2 (cluster)"),
    ],
)
def test_addresses(form: Any, address: str) -> None:
    """str() of a host is where it is; neither it nor repr() shows a password."""
    host = one(form)
    assert str(host) == address
    assert address in repr(host)
    assert "hidden" not in repr(host)


def test_the_wrong_kind_of_client() -> None:
    """A server is no cluster and a cluster no server: the error names the method to call."""
    with pytest.raises(TypeError, match=r"use client\(\)"):
        one("redis://a").cluster_client()
    with pytest.raises(TypeError, match=r"use cluster_client\(\)"):
        one({"cluster": True, "host": "a"}).client()


# Mistakes


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        ("redis://:hidden@h", r'hosts is a str, not a list of hosts; write hosts=\["redis://..."\]'),
        (b"redis://:hidden@h", "hosts is a bytes, not a list"),
        ({"password": "hidden"}, r"hosts is a dict, .*write hosts=\[\{...\}\]"),
        (5, "hosts is an int, not a list"),
        ([], "hosts is empty"),
        (("localhost", 6379), r"hosts is one \(host, port\) pair, .*write hosts=\[\(host, port\)\]"),
        (["redis://a", None], r"hosts\[1\] is None; is an environment variable .*missing\?"),
        ([7], r"hosts\[0\] is an int; expected a URL"),
        ([("a",)], r"hosts\[0\] is a tuple of 1; expected \(host, port\)"),
        ([("a", 1, "hidden")], r"hosts\[0\] is a tuple of 3; expected \(host, port\)"),
        ([(1, "a")], r"hosts\[0\] is a tuple of 2; expected \(host, port\)"),
        ([("a", "hidden")], r"hosts\[0\] has a port that is no number from 1 to 65535"),
        ([{"host": "a", "port": 0}], r"hosts\[0\] has a port"),
        (["localhost:6379"], r'hosts\[0\] is no URL; write "redis://host:6379/0" or \("host", 6379\)'),
        (["me:hidden@h://x"], r"hosts\[0\] is no URL"),
        ([{"address": 5}], r"hosts\[0\] has an address that is no URL but an int"),
        (["http://:hidden@h"], r"unknown scheme 'http'; write redis://, rediss:// \(TLS\) or unix://"),
        (["redis+sentinel://:hidden@h"], r'for Sentinel write \{"sentinels"'),
        (["redis-cluster://:hidden@h"], r'for a cluster write \{"cluster": True'),
        (["redis://:hid/den@h"], r"hosts\[0\] is a redis:// URL that cannot be read; .* percent-encoded"),
        (["redis://:hid#den@h"], "cannot be read; .* percent-encoded"),
        (["redis://:12/hidden@h"], "cannot be read; .* percent-encoded"),
        (["redis://:12?hidden@h"], "cannot be read; .* percent-encoded"),
        (["redis://h:99999"], "cannot be read"),
        (["redis://h?socket_timeout=hidden"], "cannot be read"),
        (["redis://h?pasword=hidden"], r"\(redis://h:6379/0\) has the option 'pasword', .*did you mean 'password'"),
        ([{"adress": "redis://:hidden@h"}], "option 'adress', which redis-py .* does not know .did you mean 'address'"),
        ([{"host": "a", "ssl_ca_certs": "x"}], "'ssl_ca_certs', which is for TLS; write \"ssl\": True"),
        ([{"host": "a", "ssl": True, "ssl_cert_reqs": "bad"}], r"\(rediss://a:6379/0\) has options that redis-py"),
        ([{"unix_socket_path": "/x", "ssl": True}], "has both a unix socket and ssl"),
        ([{"host": "a", "decode_responses": True}], "option 'decode_responses', .*messages are bytes. Remove it"),
        ([{"host": "a", "protocol": 3}], "option 'protocol', .*RESP2"),
        ([{"host": "a", "max_connections": 9}], "option 'max_connections', .*a few connections"),
        ([{"host": "a", "socket_timeout": 0}], "has the socket_timeout 0; expected a positive number"),
        ([{"host": "a", "socket_timeout": True}], "has the socket_timeout True; expected a positive number"),
        ([{"host": "a", "socket_connect_timeout": "5"}], "has the socket_connect_timeout '5'; expected a positive"),
        ([{"host": "a", "socket_timeout": float("inf")}], "has the socket_timeout inf; expected a positive"),
        ([{"sentinels": [("a", 1)]}], 'has "sentinels" without "master_name"'),
        ([{"master_name": "m"}], r'needs "sentinels": \[\("host", 26379\), ...\], not None'),
        ([{"sentinels": "a", "master_name": "m"}], 'needs "sentinels": .*not a str'),
        (
            [{"sentinels": ["a"], "master_name": "m"}],
            r"hosts\[0\]\['sentinels'\]\[0\] is a str; expected \(host, port\)",
        ),
        ([{"sentinels": [("a", 1)], "master_name": "m", "host": "b"}], "both \"sentinels\" and 'host'"),
        ([{"sentinels": [("a", 1)], "master_name": "m", "sentinel_kwargs": 5}], r"\['sentinel_kwargs'\] is a dict"),
        (
            [{"sentinels": [("a", 1)], "master_name": "m", "sentinel_kwargs": {"pasword": "hidden"}}],
            r"hosts\[0\]\['sentinel_kwargs'\] \(sentinel://a:1/m\) has the option 'pasword', .*'password'",
        ),
        (
            [{"sentinels": [("a", 1)], "master_name": "m", "sentinel_kwargs": {"socket_timeout": -1}}],
            r"\['sentinel_kwargs'\] has the socket_timeout -1",
        ),
        ([{"sentinels": [("a", 1)], "master_name": "m", "service": "x"}], r"option 'service', which redis-py"),
        ([{"sentinels": [("a", 1)], "master_name": "m", "is_master": False}], "writes to the master"),
        ([{"cluster": True, "host": "a"}, "redis://b"], r"hosts\[0\] is a cluster .*must be the only host"),
        (["redis://b", {"cluster": True, "host": "a"}], r"hosts\[1\] is a cluster .*must be the only host"),
        ([{"cluster": True, "address": "redis://:hidden@a/1"}], "a cluster has database 0 only"),
        ([{"cluster": True, "address": "unix:///x"}], "reaches a cluster by TCP only"),
        ([{"cluster": True, "sentinels": [("a", 1)]}], 'both "cluster" and Sentinel'),
        ([{"cluster": True, "startup_nodes": []}], r'needs "startup_nodes": \[\("host", 6379\), ...\]'),
        ([{"cluster": True, "host": "a", "pasword": "hidden"}], "option 'pasword', .*did you mean 'password'"),
        ([{"cluster": True, "host": "a", "socket_type": 1}], "option 'socket_type', .*does not take for a cluster"),
        ([{"cluster": True, "host": "a", "connection_class": object}], 'cannot have a "connection_class"'),
        ([{5: 6}], "keywords must be strings"),
    ],
)
def test_mistakes_in_hosts(hosts: Any, text: str) -> None:
    """Each mistake says where it is and what to write, and never shows a piece of a password."""
    with pytest.raises(InvalidChannelLayerError, match=text) as raised:
        parse_hosts(hosts)
    assert not re.search("hid|den@|12", str(raised.value))
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    ("connection_kwargs", "text"),
    [
        (["hidden"], "connection_kwargs is a dict of redis-py's connection options, not a list"),
        ({"socket_timeout": 0}, r"connection_kwargs, for hosts\[0\] has the socket_timeout 0"),
        ({"pasword": "hidden"}, r"connection_kwargs, for hosts\[0\] \(redis://h:6379/0\) has the option 'pasword'"),
        ({"decode_responses": True}, r"connection_kwargs, for hosts\[0\] has the option 'decode_responses'"),
    ],
)
def test_mistakes_in_connection_kwargs(connection_kwargs: Any, text: str) -> None:
    """A mistake in connection_kwargs is named there, not in the host that it was added to."""
    with pytest.raises(InvalidChannelLayerError, match=text) as raised:
        parse_hosts(["redis://h"], connection_kwargs)
    assert "hidden" not in str(raised.value)


def test_hosts_are_not_changed() -> None:
    """Reading hosts leaves the settings as they are."""
    forms = [
        {"sentinels": [("a", 1)], "master_name": "m", "sentinel_kwargs": {"password": "x"}},
        {"address": "redis://b", "socket_timeout": 2},
    ]
    shared = {"socket_timeout": None}
    parse_hosts(forms, shared)
    assert forms[0] == {"sentinels": [("a", 1)], "master_name": "m", "sentinel_kwargs": {"password": "x"}}
    assert forms[1] == {"address": "redis://b", "socket_timeout": 2}
    assert shared == {"socket_timeout": None}


# Options of the layer


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("capasity", r"has no option 'capasity' \(did you mean 'capacity'\?\); it has hosts, capacity"),
        ("stats_prefix", "no option 'stats_prefix': all of its keys are under `prefix`. Remove 'stats_prefix'"),
        (
            "services",
            r"for Sentinel write hosts=\[\{\"sentinels\": \[\(host, port\), ...\], \"master_name\": service\}\]",
        ),
        ("sentinel_refresh_interval", r"whenever a connection .*write hosts=\[\{\"sentinels\""),
        ("random_prefix_length", "equal messages are told apart without it. Remove"),
        ("serializer_format", "always travels as msgpack. Remove"),
        ("on_disconnect", "reconnects by itself. Remove"),
        ("on_reconnect", "reconnects by itself. Remove"),
    ],
)
def test_options_the_layer_does_not_have(name: str, text: str) -> None:
    """An unknown option is refused by name; one of an older layer with the reason why it can go."""
    with pytest.raises(InvalidChannelLayerError, match=text):
        refuse_unknown({"hosts": None, name: "x"}, ["hosts", "capacity"])


def test_options_the_layer_has() -> None:
    """Known options are not refused."""
    refuse_unknown({"hosts": None}, ["hosts", "capacity"])
