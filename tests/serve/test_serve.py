"""``python -m routechan serve``: what it takes, what it refuses, and that it serves."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from routechan import Message, route, serve
from routechan.asgi import ServerOptions
from routechan.dispatch import Dispatcher
from routechan.layers import RedisChannelLayer
from routechan.relay import EVENT_TIMEOUT
from routechan.routing import Router
from routechan.worker.process import WorkerProcess
from tests.waiting import until as asgi_until

from ..processes import ROOT, ServerProcess, free_port
from ..redis_servers import SingleServer, shared

SOCKETS = 50


def parsed(*arguments: str) -> argparse.Namespace:
    return serve.parser().parse_args(["serve", *arguments])


def made(*arguments: str, **environment: str) -> Any:
    """What the layer is made with."""
    layer = serve.make_layer(parsed(*arguments), environment)
    layer.close()
    return layer


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What it says to a command line that it refuses."""
    with pytest.raises(SystemExit) as ended:
        serve.main(["serve", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.split("error: ")[1].strip()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (serve.REDIS_VARIABLE, serve.KEYS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


def test_the_layer_of_the_command_line() -> None:
    """issue 5, item 4: nothing is needed but what the workers' layer has; several URLs are shards."""
    layer = made("--redis", "redis://a:1", "--redis", "redis://b:2", "--prefix", "chat")
    assert str(layer) == "RedisChannelLayer(hosts=[redis://a:1/0, redis://b:2/0])"
    assert layer.engine.operations.keys.queue("x").startswith("chat:")


def test_the_layer_of_a_file(tmp_path: Path) -> None:
    """A file has all that CONFIG may have; what it does not say the command line may."""
    file = tmp_path / "layer.json"
    file.write_text(json.dumps({"prefix": "chat", "expiry": 30, "capacity": 7, "channel_capacity": {"a*": 3}}))
    layer = made("--layer-config", str(file), "--redis", "redis://a:1")
    assert (layer.expiry, layer.capacity, layer.channel_capacity) == (30, 7, {"a*": 3})
    assert "redis://a:1" in str(layer)


def test_secrets_of_the_environment() -> None:
    """A command line shows to everybody: keys and passwords come by variables."""
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
        (["--uds", "a", "--port", "1"], "--uds is served instead of --host and --port"),
        (["--port", "-1"], "argument --port: '-1' is below 0"),
        (["--port", "many"], "argument --port: "),
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
    """style, habit 12: said before anything is served, with what was expected."""
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
    """Its extra is named."""
    monkeypatch.setattr(serve, "uvicorn", None)
    assert "pip install 'routechan[server]'" in refused(capsys, "--allow-origin", "*")


def test_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option reaches what it is for, and the defaults are those of the library."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(serve.uvicorn, "run", lambda application, **options: given.update(options, it=application))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    assert serve.main(["serve", "--allow-origin", "example.com"]) == 0
    assert given["it"]._options == ServerOptions(allowed_origins=["example.com"], health_path="/healthz")
    assert given["it"]._consumers.event_timeout == EVENT_TIMEOUT
    assert (given["host"], given["port"], given["uds"]) == ("127.0.0.1", 8000, None)
    assert given["timeout_graceful_shutdown"] == serve.GRACEFUL_TIMEOUT
    given["it"]._layer.close()
    words = (
        "serve --allow-origin a --allow-origin b --subprotocol json --event-timeout 5 --handshake-timeout 2 --http "
        "--health-path= --metrics-path /metrics --uds /run/x --root-path /ws --forwarded-allow-ips 10.0.0.1 "
        "--graceful-timeout 9 --log-level debug --access-log"
    )
    assert serve.main(words.split()) == 0
    assert given["it"]._options == ServerOptions(
        allowed_origins=["a", "b"], subprotocols=["json"], handshake_timeout=2.0, metrics_path="/metrics"
    )
    consumers = given["it"]._consumers
    assert (consumers.event_timeout, consumers.serves(["http.request"], {})) == (5.0, True)
    assert {name: given[name] for name in ("uds", "root_path", "forwarded_allow_ips", "access_log")} == {
        "uds": "/run/x",
        "root_path": "/ws",
        "forwarded_allow_ips": "10.0.0.1",
        "access_log": True,
    }
    assert given["timeout_graceful_shutdown"] == 9
    given["it"]._layer.close()


def test_no_django() -> None:
    """issue 5, item 4: it stays up while code changes because it loads none of it."""
    code = "import sys, routechan.serve; print([name for name in sys.modules if name.partition('.')[0] == 'django'])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_every_option_is_documented() -> None:
    """docs/deploy names each option of ``serve``, and none that it has not."""
    text = "\n".join(file.read_text() for file in (ROOT / "docs" / "deploy").glob("*.rst"))
    known = set(re.findall(r"--[a-z-]+", _help())) - {"--help"}
    index = (ROOT / "docs" / "deploy" / "index.rst").read_text()
    assert {option for option in known if f"``{option}" not in index} == set()
    used = re.findall(r"routechan serve((?: *(?:\\\n *)?[^\n`]+(?<!\\)| \\\n)*)", text)
    assert used
    assert {option for words in used for option in re.findall(r"(?<=\s)--[a-z-]+", words)} <= known


def _help() -> str:
    [commands] = [action for action in serve.parser()._actions if action.dest == "command"]
    assert isinstance(commands.choices, dict)
    return str(commands.choices["serve"].format_help())


def get(port: int, path: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return response.status, response.read()


async def test_a_process(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """issue 5, items 3 to 5: sockets and requests go to a worker; it is healthy without one; SIGTERM ends it well."""
    redis = shared(pytestconfig, SingleServer)
    prefix, key = secrets.token_hex(6), secrets.token_hex(16)
    gone: list[tuple[str, Any]] = []

    def connected(message: Message) -> None:
        message.reply_channel.send({"accept": True})

    def echo(message: Message) -> None:
        message.reply_channel.send({"text": message["text"]})

    def disconnected(message: Message) -> None:
        time.sleep(0.2)
        gone.append((message["reply_channel"], message["code"]))

    def answer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": message["path"].encode()})

    def finished(message: Message) -> None:
        pass

    routing = [
        route("websocket.connect", connected),
        route("websocket.receive", echo),
        route("websocket.disconnect", disconnected),
        route("http.request", answer),
        route("http.disconnect", finished),
    ]
    port = free_port()
    arguments = ["--redis", redis.url, "--prefix", prefix, "--port", str(port), "--allow-origin", "example.com"]
    server = ServerProcess(
        ["-m", "routechan", "serve", "--http", "--log-level", "warning", *arguments],
        port,
        environment={serve.KEYS_VARIABLE: key},
    )
    layer = RedisChannelLayer(hosts=[redis.url], prefix=prefix, symmetric_encryption_keys=[key])
    router = Router(routing)
    worker = WorkerProcess(Dispatcher(router), layer.sync, router.channels, threads=64)
    with server:
        health = await asyncio.to_thread(get, port, "/healthz")
        assert (health[0], json.loads(health[1])) == (200, {"status": "ok", "sockets": 0, "layer": "reachable"})
        working = asyncio.create_task(worker.run())
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
        worker.stop()
        await working
    layer.close()


async def test_a_process_whose_workers_are_gone(pytestconfig: pytest.Config) -> None:
    """issue 5: it ends in time; each disconnect waits in Redis for the next worker, and runs there, once."""
    redis = shared(pytestconfig, SingleServer)
    prefix = secrets.token_hex(6)
    gone: list[str] = []

    def connected(message: Message) -> None:
        message.reply_channel.send({"accept": True})

    def disconnected(message: Message) -> None:
        gone.append(message["reply_channel"])

    router = Router([route("websocket.connect", connected), route("websocket.disconnect", disconnected)])
    layer = RedisChannelLayer(hosts=[redis.url], prefix=prefix)

    async def work(until: Any) -> None:
        worker = WorkerProcess(Dispatcher(router), layer.sync, router.channels, threads=64)
        working = asyncio.create_task(worker.run())
        await until()
        worker.stop()
        await working

    sockets: list[Any] = []
    port = free_port()

    async def open_them() -> None:
        sockets.extend(await asyncio.gather(*(connect(f"ws://127.0.0.1:{port}/") for _ in range(SOCKETS))))

    async def all_gone() -> None:
        await asgi_until(lambda: len(gone) >= SOCKETS)

    words = f"serve --redis {redis.url} --prefix {prefix} --port {port} --allow-origin * --graceful-timeout 1"
    with ServerProcess(["-m", "routechan", *words.split()], port) as server:
        await work(open_them)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(socket.wait_closed() for socket in sockets))
        await asyncio.to_thread(server.process.wait, 8)
        assert server.process.returncode == 0
        assert "Traceback" not in server.output
        assert gone == []
    await work(all_gone)
    assert len(set(gone)) == len(gone) == SOCKETS
    layer.close()
