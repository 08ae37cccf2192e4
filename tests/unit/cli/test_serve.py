"""``python -m routechan serve``: what it takes, what it refuses, and that it serves."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from routechan import Message, cli, route
from routechan.asgi import ServerOptions
from routechan.cli import arguments, serving
from routechan.layers import RedisChannelLayer
from routechan.relay.server import EVENT_TIMEOUT
from routechan.server import WebSocketProtocol
from tests.waiting import until

from ...processes import ROOT, ServerProcess, free_port
from ...redis_servers import SingleServer, shared
from ..asgi.consumers import accept, echo
from ..monitor.helpers import working

SOCKETS = 50


class Served:
    """Stands in for uvicorn's server; it has served already."""

    started = True

    def __init__(self, config: object) -> None:
        pass

    def run(self, sockets: list[socket.socket] | None) -> None:
        for each in sockets or ():
            each.close()


def parsed(*arguments: str) -> argparse.Namespace:
    return cli.parser().parse_args(["serve", *arguments])


def made(*arguments: str, **environment: str) -> Any:
    """What the layer is made with."""
    layer = cli.make_layer(parsed(*arguments), environment)
    layer.close()
    return layer


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What it says to a command line that it refuses."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.split("error: ")[1].strip()


def test_the_layer_of_the_command_line() -> None:
    """Redis URLs and prefix suffice for the layer of the workers; several URLs are shards."""
    layer = made("--redis", "redis://a:1", "--redis", "redis://b:2", "--prefix", "chat")
    assert str(layer) == "RedisChannelLayer(hosts=[redis://a:1/0, redis://b:2/0])"
    assert layer.engine.keys.queue("x").startswith("chat:")


def test_the_layer_of_a_file(tmp_path: Path) -> None:
    """A file may have all keys of CONFIG, and options of the command line complete it."""
    file = tmp_path / "layer.json"
    file.write_text(json.dumps({"prefix": "chat", "expiry": 30, "capacity": 7, "channel_capacity": {"a*": 3}}))
    layer = made("--layer-config", str(file), "--redis", "redis://a:1")
    assert (layer.expiry, layer.capacity, layer.channel_capacity) == (30, 7, {"a*": 3})
    assert "redis://a:1" in str(layer)


def test_secrets_of_the_environment() -> None:
    """Keys and passwords come from environment variables, because others can see a command line."""
    layer = made(ROUTECHAN_REDIS="redis://:word@a:1 redis://b:2", ROUTECHAN_ENCRYPTION_KEYS="new old")
    other = RedisChannelLayer(symmetric_encryption_keys=["old"])
    other.close()
    serializers = [each._make_engine.keywords["serializer"] for each in (other, layer)]
    assert serializers[1].decode(serializers[0].encode({"a": 1})) == {"a": 1}
    assert "word" not in str(layer)
    assert "b:2" in str(layer)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--redis", "http://a"], "unknown scheme 'http'"),
        (["--layer-config", "FILE"], "FILE cannot be read as JSON"),
        (["--redis", "redis://a", "--layer-config", "HOSTS"], "--redis and 'hosts' in HOSTS say the same"),
        (["--layer-config", "LIST"], "LIST has a list; expected what CONFIG has"),
        (["--layer-config", "EXPIRY"], "expiry is a number of seconds above 0"),
        (["--layer-config", "UNKNOWN"], "expirey"),
        ([], "say which may: --allow-origin example.com"),
        (["--uds", "a", "--port", "1"], "--uds and --port say different places to serve on"),
        (["--fd", "3", "--host", "::1"], "--fd and --host say different places to serve on"),
        (["--fd", "3", "--uds", "a"], "--fd and --uds say different places to serve on"),
        (["--port", "-1"], "argument --port: '-1' is below 0"),
        (["--port", "many"], "argument --port: "),
        (["--limit", "sockets=1"], "argument --limit: 'sockets' is no limit; expected socket_capacity, socket_bytes, "),
        (["--limit", "frame_bytes=0"], "argument --limit: 'frame_bytes=0' has no number above 0, and not none"),
        (["--limit", "body_limit=none"], "body_limit is a number above 0, not None; this limit cannot be switched off"),
        (["--limit", "handshake_rate=fast"], "handshake_rate: a rate is a text such as '5/s'"),
        (["--event-timeout", "0"], "argument --event-timeout: '0' is no number of seconds above 0"),
        (["--health-path", "healthz"], "health_path is a path such as '/healthz', or None, not 'healthz'"),
        (["--metrics-path", "/healthz"], "health_path and metrics_path are both '/healthz'"),
        (["--red", "redis://a"], "unrecognized arguments: --red"),
    ],
)
def test_nonsense(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bad option is refused before anything is served, with what was expected."""
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "HOSTS": '{"hosts": ["redis://b"]}',
        "LIST": "[]",
        "EXPIRY": '{"expiry": 0}',
        "UNKNOWN": '{"expirey": 5}',
    }.items():
        Path(name).write_text(content)
    origin = ["--allow-origin", "a"] if arguments else []
    assert text in refused(capsys, *origin, *arguments)


def test_without_uvicorn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The text names the extra to install."""
    monkeypatch.setattr(serving, "uvicorn", None)
    assert "pip install 'routechan[server]'" in refused(capsys, "--allow-origin", "*")


def test_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option reaches what it is for, and the defaults are those of the library."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(serving.uvicorn, "Server", Served)
    monkeypatch.setattr(serving.uvicorn, "Config", lambda application, **options: given.update(options, it=application))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    monkeypatch.setenv("ROUTECHAN_SECRETS", "new old")
    assert cli.main(["serve", "--allow-origin", "example.com"]) == 0
    assert given["it"].options == ServerOptions(
        allowed_origins=["example.com"], health_path="/healthz", secrets=("new", "old")
    )
    assert "old" not in repr(given["it"].options)
    monkeypatch.delenv("ROUTECHAN_SECRETS")
    assert given["ws_max_size"] == 4 * ServerOptions.frame_bytes
    assert given["it"]._consumers.event_timeout == EVENT_TIMEOUT
    assert (given["host"], given["port"], given["uds"]) == ("127.0.0.1", 8000, None)
    assert given["timeout_graceful_shutdown"] == arguments.GRACEFUL_TIMEOUT
    assert given["proxy_headers"]
    assert given["forwarded_allow_ips"] == "127.0.0.1,::1,::ffff:127.0.0.1"
    given["it"]._layer.close()
    made: list[Any] = []
    monkeypatch.setattr(serving, "behind_socket", lambda application, ips: made.append(application))
    words = (
        "serve --allow-origin a --allow-origin b --subprotocol json --event-timeout 5 --handshake-timeout 2 --http "
        "--health-path= --metrics-path /metrics --uds /run/x --root-path /ws --forwarded-allow-ips 10.0.0.1 "
        "--graceful-timeout 9 --log-level debug --access-log "
        "--limit frame_bytes=none --limit handshake_rate=5/s --limit address_sockets=20"
    )
    assert cli.main(words.split()) == 0
    [application] = made
    assert application.options == ServerOptions(
        allowed_origins=["a", "b"],
        subprotocols=["json"],
        handshake_timeout=2.0,
        metrics_path="/metrics",
        root_path="/ws",
        frame_bytes=None,
        handshake_rate="5/s",
        address_sockets=20,
    )
    assert given["ws_max_size"] == sys.maxsize
    consumers = application._consumers
    assert (consumers.event_timeout, consumers.serves(["http.request"], {})) == (5.0, True)
    assert {name: given[name] for name in ("uds", "proxy_headers", "forwarded_allow_ips", "access_log")} == {
        "uds": "/run/x",
        "proxy_headers": False,
        "forwarded_allow_ips": "10.0.0.1",
        "access_log": True,
    }
    assert given["timeout_graceful_shutdown"] == 9
    application._layer.close()


@pytest.mark.parametrize(("family", "believes"), [(socket.AF_INET, True), (socket.AF_UNIX, False)])
def test_a_descriptor(monkeypatch: pytest.MonkeyPatch, family: int, believes: bool) -> None:
    """One of a Unix socket is served as such: its clients have no address that uvicorn could believe."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(serving.uvicorn, "Server", Served)
    monkeypatch.setattr(serving.uvicorn, "Config", lambda application, **options: given.update(options))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    descriptor = socket.socket(family).detach()
    assert cli.main(["serve", "--allow-origin", "a", "--fd", str(descriptor)]) == 0
    assert given["proxy_headers"] is believes


@pytest.mark.parametrize(
    ("forwarded", "ips", "client", "scheme"),
    [
        ({}, None, None, "ws"),
        ({"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}, None, ("203.0.113.9", 0), "wss"),
        ({"x-forwarded-for": "1.1.1.1, 203.0.113.9"}, None, ("203.0.113.9", 0), "ws"),
        ({"x-forwarded-for": "203.0.113.9, 127.0.0.1"}, None, ("203.0.113.9", 0), "ws"),
        ({"x-forwarded-for": "203.0.113.9, unix:"}, None, ("203.0.113.9", 0), "ws"),
        ({"x-forwarded-for": "203.0.113.9, ::1"}, None, ("203.0.113.9", 0), "ws"),
        ({"x-forwarded-for": "203.0.113.9, 10.0.0.1"}, None, ("10.0.0.1", 0), "ws"),
        ({"x-forwarded-for": "203.0.113.9, 10.0.0.1"}, "10.0.0.1,10.0.0.2", ("203.0.113.9", 0), "ws"),
        ({"x-forwarded-for": "1.1.1.1, 203.0.113.9"}, "*", ("1.1.1.1", 0), "ws"),
        ({"x-forwarded-for": "", "x-forwarded-proto": "gopher"}, None, None, "ws"),
    ],
)
async def test_forwarded_headers_over_a_unix_socket(
    forwarded: dict[str, str], ips: str | None, client: Any, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens the socket is believed; a client cannot write itself another address in front of its own."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope.get("client"), scope.get("scheme")))

    headers = [(name.encode(), value.encode()) for name, value in forwarded.items()]
    scope = {"type": "websocket", "scheme": "ws", "client": None, "headers": headers}
    served: Any = serving.behind_socket(application, ips)
    await served(scope, None, None)
    await served({"type": "lifespan"}, None, None)
    assert seen == [(client, scheme), (None, None)]


def test_no_django() -> None:
    """The server loads neither Django nor the project, so it stays up while code changes."""
    code = "import sys, routechan.cli; print([name for name in sys.modules if name.partition('.')[0] == 'django'])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_every_option_is_documented() -> None:
    """docs/deploy names every option of ``serve``, and no unknown one."""
    text = "\n".join(file.read_text() for file in (ROOT / "docs" / "deploy").glob("*.rst"))
    known = set(re.findall(r"--[a-z-]+", _help())) - {"--help"}
    index = (ROOT / "docs" / "deploy" / "index.rst").read_text()
    assert {option for option in known if f"``{option}" not in index} == set()
    used = re.findall(r"routechan serve((?: *(?:\\\n *)?[^\n`]+(?<!\\)| \\\n)*)", text)
    assert used
    assert {option for words in used for option in re.findall(r"(?<=\s)--[a-z-]+", words)} <= known


def _help() -> str:
    [commands] = [action for action in cli.parser()._actions if action.dest == "command"]
    assert isinstance(commands.choices, dict)
    return str(commands.choices["serve"].format_help())


def get(port: int, path: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return response.status, response.read()


async def test_a_process(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets and requests go to a worker; it is healthy without one; SIGTERM ends it well."""
    redis = shared(pytestconfig, SingleServer)
    prefix, key = secrets.token_hex(6), secrets.token_hex(16)
    gone: list[tuple[str, Any]] = []

    def disconnected(message: Message) -> None:
        time.sleep(0.2)
        gone.append((message["reply_channel"], message["code"]))

    def answer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": message["path"].encode()})

    routing = [
        route("websocket.connect", accept),
        route("websocket.receive", echo),
        route("websocket.disconnect", disconnected),
        route("http.request", answer),
        route("http.disconnect", lambda message: None),
    ]
    port = free_port()
    arguments = ["--redis", redis.url, "--prefix", prefix, "--port", str(port), "--allow-origin", "example.com"]
    server = ServerProcess(
        ["-m", "routechan", "serve", "--http", "--log-level", "warning", *arguments],
        port,
        environment={cli.KEYS_VARIABLE: key},
    )
    layer = RedisChannelLayer(hosts=[redis.url], prefix=prefix, symmetric_encryption_keys=[key])
    with server:
        health = await asyncio.to_thread(get, port, "/healthz")
        assert (health[0], json.loads(health[1])) == (200, {"status": "ok", "sockets": 0, "layer": "reachable"})
        async with working(layer, *routing, threads=64):
            sockets = await asyncio.gather(*(connect(f"ws://127.0.0.1:{port}/") for _ in range(SOCKETS)))
            for socket in sockets:
                await socket.send("hello")
                assert await socket.recv() == "hello"
            assert await asyncio.to_thread(get, port, "/some/page") == (200, b"/some/page")
            health = await asyncio.to_thread(get, port, "/healthz")
            assert json.loads(health[1])["sockets"] == SOCKETS
            server.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*(socket.wait_closed() for socket in sockets))
            assert not server.answers(), "a new socket was let in"
            assert Counter(socket.close_code for socket in sockets) == {1012: SOCKETS}
            await asyncio.to_thread(server.process.wait, 10)
            assert len(gone) == len(dict(gone)) == SOCKETS, "it did not wait for the workers"
            assert {code for _, code in gone} == {1012}
            assert (server.process.returncode, server.output) == (0, "")
    layer.close()


async def test_a_process_whose_workers_are_gone(pytestconfig: pytest.Config) -> None:
    """The server ends in time; the disconnects wait in Redis and run once in the next worker."""
    redis = shared(pytestconfig, SingleServer)
    prefix = secrets.token_hex(6)
    gone: list[str] = []

    def disconnected(message: Message) -> None:
        gone.append(message["reply_channel"])

    routing = [route("websocket.connect", accept), route("websocket.disconnect", disconnected)]
    layer = RedisChannelLayer(hosts=[redis.url], prefix=prefix)
    port = free_port()
    words = f"serve --redis {redis.url} --prefix {prefix} --port {port} --allow-origin * --graceful-timeout 1"
    with ServerProcess(["-m", "routechan", *words.split()], port) as server:
        async with working(layer, *routing):
            sockets = await asyncio.gather(*(connect(f"ws://127.0.0.1:{port}/") for _ in range(SOCKETS)))
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(socket.wait_closed() for socket in sockets))
        await asyncio.to_thread(server.process.wait, 8)
        assert server.process.returncode == 0
        assert "Traceback" not in server.output
        assert gone == []
    async with working(layer, *routing):
        await until(lambda: len(gone) >= SOCKETS)
    assert len(set(gone)) == len(gone) == SOCKETS
    layer.close()


@pytest.mark.parametrize("there", [True, False])
def test_what_reads_the_frames(there: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Picows, where it is installed; the log says which."""
    given: list[Any] = []
    monkeypatch.setattr(serving, "find_spec", lambda name: there or None)
    monkeypatch.setattr(serving.uvicorn, "Server", Served)
    monkeypatch.setattr(
        serving.uvicorn, "Config", lambda application, **options: given.append((options["ws"], application))
    )
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    caplog.set_level("INFO")
    words = ["serve", "--redis", "redis://127.0.0.1:1", "--allow-origin", "*"]
    assert cli.main(words) == 0
    [(ws, _)] = given
    if there:
        assert issubclass(ws, WebSocketProtocol)
        assert ws.drain_time == 0.0
        assert cli.main([*words, "--drain", "5"]) == 0
        assert [each.drain_time for each in (given[1][0], given[1][1].options)] == [5.0, 5.0]
    else:
        assert ws == "routechan.asgi.aborting:WebSocketProtocol"
        with pytest.raises(SystemExit):
            cli.main([*words, "--drain", "5"])
    assert ("read by picows" in caplog.text) is there
