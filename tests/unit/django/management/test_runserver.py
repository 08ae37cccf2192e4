"""What ``runserver`` of 1.x promised: options, what its server is given, a line for each action."""

from __future__ import annotations

import asyncio
import datetime
import io
import re
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import django
import pytest
from django.core.management import CommandError, call_command
from django.core.servers.basehttp import WSGIServer
from django.test import override_settings

from routechan_django import conf
from routechan_django.application import build_application
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.management.commands import runserver
from tests.harness import WebSocket, get
from tests.processes import free_port

pytestmark = pytest.mark.usefixtures("logger_kept", "no_command_line")


@pytest.fixture
def started(layer: ChannelLayerWrapper) -> Iterator[mock.Mock]:
    """The class of the server, which is not started."""
    with mock.patch.object(runserver.Command, "socket_server_cls") as made:
        yield made


def run(*options: str) -> str:
    out = io.StringIO()
    call_command("runserver", "--noreload", "--skip-checks", *options, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ([], "tcp:port=8000:interface=127.0.0.1"),
        (["localhost:8001"], "tcp:port=8001:interface=localhost"),
        (["--noworker"], "tcp:port=8000:interface=127.0.0.1"),
        (["[::1]:8001"], r"tcp:port=8001:interface=\:\:1"),
    ],
)
def test_what_the_server_is_given(
    layer: ChannelLayerWrapper, started: mock.Mock, address: list[str], endpoint: str, debug: bool
) -> None:
    """CM-09, CM-10, test_management runserver_basic, _debug, _noworker: its arguments, and where it serves."""
    with override_settings(DEBUG=debug, ALLOWED_HOSTS=["*"]):
        banner = run(*address)
    started.assert_called_once_with(
        channel_layer=layer,
        endpoints=[endpoint],
        signal_handlers=True,
        action_logger=mock.ANY,
        http_timeout=None,
        ws_protocols=None,
        root_path="",
        websocket_handshake_timeout=None,
    )
    assert [name for name, _, _ in started.return_value.method_calls] == ["listen", "run"]
    assert "channel layer default (routechan.layers.memory.InMemoryChannelLayer)" in banner  # CM-07
    assert f"Django version {django.get_version()}, using settings " in banner
    given = [option for option in address if ":" in option] or ["127.0.0.1:8000"]
    assert f" http://{given[0]}/ " in banner


def test_a_server_class_of_1x(layer: ChannelLayerWrapper) -> None:
    """CM-09: a command of 1.x names its class in ``server_cls``, a mock included; Django's server stays Django's."""
    with mock.patch.object(runserver.Command, "server_cls") as made:
        run()
    assert made.call_args.kwargs["channel_layer"] is layer
    served = []

    class Own(runserver.Server):
        def run(self) -> None:
            served.append(self.endpoints)
            self.close()

    class OwnCommand(runserver.Command):
        server_cls = Own

    for options in ({}, {"use_asgi": False}):
        with mock.patch("django.core.management.commands.runserver.run") as run_wsgi:
            call_command(OwnCommand(), addrport=str(free_port()), use_reloader=False, skip_checks=True, **options)
        assert run_wsgi.call_count == bool(options)
    assert run_wsgi.call_args.kwargs["server_cls"] is WSGIServer
    assert len(served) == 1


@override_settings(CHANNELS_WS_PROTOCOLS=["json"], FORCE_SCRIPT_NAME="/app")
def test_options_and_settings(layer: ChannelLayerWrapper, started: mock.Mock) -> None:
    """CM-03, CM-04, ST-07, ST-08: timeouts of the command line, subprotocols and script name of the settings."""
    run("--http_timeout", "7", "--websocket_handshake_timeout", "3")
    given = started.call_args.kwargs
    assert (given["http_timeout"], given["websocket_handshake_timeout"]) == (7, 3)
    assert (given["ws_protocols"], given["root_path"]) == (["json"], "/app")


@override_settings(CHANNELS_WS_PROTOCOLS=["old"], ROUTECHAN={"SUBPROTOCOLS": ["new"]})
def test_subprotocols_as_in_production(layer: ChannelLayerWrapper, started: mock.Mock) -> None:
    """ST-08: where both settings name some, the server of development takes those any other server takes."""
    run()
    assert started.call_args.kwargs["ws_protocols"] == conf.server_options().subprotocols == ["new"]


def test_threads_and_workers(layer: ChannelLayerWrapper, started: mock.Mock) -> None:
    """CM-01, CM-08: ``--nothreading`` is one thread, ``--noworker`` leaves the routing's own channels to workers."""
    run()
    assert (conf.thread_limit(), conf.reads_channels()) == (32, True)
    run("--nothreading", "--noworker")
    assert (conf.thread_limit(), conf.reads_channels()) == (1, False)


async def test_channels_left_to_workers(layer: ChannelLayerWrapper) -> None:
    """CM-01: with ``--noworker`` sockets are served, and a message to another channel of the routing stays there."""
    conf.override_from_command_line(read_channels=False)
    layer.send("thumbnail", {"id": 1})
    async with WebSocket(build_application(layer), "/async/") as client:
        await client.accepted()
        client.send("hello")
        assert await client.text() == "hello"
    assert layer.receive(["thumbnail"])[1] == {"id": 1}


def test_ctrl_c(layer: ChannelLayerWrapper, started: mock.Mock) -> None:
    """CM-11: the shutdown message, if there is one, and the end."""
    started.return_value.run.side_effect = KeyboardInterrupt
    out = io.StringIO()
    call_command("runserver", "--noreload", "--skip-checks", stdout=out, shutdown_message="bye")
    assert out.getvalue().endswith("bye\n")


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize(("debug", "options"), [(True, {}), (False, {"insecure_serving": True}), (False, {})])
def test_the_consumer_of_requests(static: bool, debug: bool, options: dict[str, Any]) -> None:
    """CM-12: with static files if they are installed, wanted and this is development, or else insecure ones are."""
    installed = ["routechan_django", *(["django.contrib.staticfiles"] if static else [])]
    with override_settings(DEBUG=debug, INSTALLED_APPS=installed, STATIC_URL="/static/"):
        consumer = runserver.Command().get_consumer(**options)
        unwanted = runserver.Command().get_consumer(use_static_handler=False, **options)
    wanted = static and (debug or bool(options))
    assert type(consumer) is (runserver.StaticFilesConsumer if wanted else runserver.ViewConsumer)
    assert type(unwanted) is runserver.ViewConsumer


async def test_a_command_with_a_consumer_of_its_own(layer: ChannelLayerWrapper, started: mock.Mock) -> None:
    """CM-07, CM-12: a subclass that overrides ``get_consumer`` has its consumer answer requests."""

    def consumer(message: Any) -> None:
        message.reply_channel.send({"status": 200, "content": b"my own"})

    class Mine(runserver.Command):
        def get_consumer(self, *args: Any, **options: Any) -> Any:
            return consumer

        def check_migrations(self) -> None:
            """A database connection of this thread would stay open."""

    def serve() -> None:
        call_command(Mine(), "--noreload", "--skip-checks", stdout=io.StringIO())

    await asyncio.to_thread(serve)
    assert await get(started.return_value.application, "/hello/") == (200, b"my own")


@pytest.mark.parametrize("options", [["--noasgi"], []])
def test_without_sockets(layer: ChannelLayerWrapper, started: mock.Mock, options: list[str]) -> None:
    """CM-02, CM-06, AP-08: with ``--noasgi``, and without a default layer, Django's own server."""
    layers = {} if not options else {"default": {}}
    with (
        override_settings(CHANNEL_LAYERS=layers),
        mock.patch("django.core.management.commands.runserver.Command.inner_run") as django,
    ):
        run(*options)
    assert django.called
    assert not started.called


def logged(protocol: str, action: str, color: bool = False, **details: Any) -> str:
    """What ``log_action`` writes, without the time."""
    command = runserver.Command(no_color=not color, force_color=color)
    with mock.patch.object(sys, "stderr", io.StringIO()) as stream:
        command.log_action(protocol, action, details)
    found = re.fullmatch(r"\[(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\] (.*)", stream.getvalue(), re.DOTALL)
    assert found is not None
    assert abs(datetime.datetime.strptime(found[1], "%Y/%m/%d %H:%M:%S") - datetime.datetime.now()).seconds < 60
    return found[2]


@pytest.mark.parametrize(
    ("status", "style"),
    [
        (100, "HTTP_INFO"),
        (200, "HTTP_SUCCESS"),
        (304, "HTTP_NOT_MODIFIED"),
        (302, "HTTP_REDIRECT"),
        (404, "HTTP_NOT_FOUND"),
        (400, "HTTP_BAD_REQUEST"),
        (500, "HTTP_SERVER_ERROR"),
    ],
)
def test_lines_of_requests(status: int, style: str) -> None:
    """CM-13, CM-14, test_management log_action: time, method, path, status, seconds and client, styled by status."""
    details = {"method": "GET", "path": "/a-path/", "status": status, "time_taken": 0.12345, "client": "a-client"}
    plain = f"HTTP GET /a-path/ {status} [0.12, a-client]\n"
    assert logged("http", "complete", **details) == plain
    command = runserver.Command(force_color=True)
    assert logged("http", "complete", color=True, **details) == getattr(command.style, style)(plain)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("connected", "WebSocket CONNECT /a-path/ [a-client]\n"),
        ("disconnected", "WebSocket DISCONNECT /a-path/ [a-client]\n"),
        ("connecting", "WebSocket HANDSHAKING /a-path/ [a-client]\n"),
        ("rejected", "WebSocket REJECT /a-path/ [a-client]\n"),
        ("else", ""),
    ],
)
def test_lines_of_sockets(action: str, text: str) -> None:
    """CM-13: a line for each step of a socket; what is unknown is the time alone."""
    assert logged("websocket", action, path="/a-path/", client="a-client") == text


def test_a_worker_thread(layer: ChannelLayerWrapper) -> None:
    """CM-08: a daemon thread with a worker that takes no signals; ``ready``, then ``run``."""
    logger = mock.Mock()
    with mock.patch.object(runserver, "Worker") as worker:
        thread = runserver.WorkerThread(layer, logger)
        thread.start()
        thread.join(10)
    worker.assert_called_once_with(channel_layer=layer, signal_handlers=False)
    assert [name for name, _, _ in worker.return_value.method_calls] == ["ready", "run"]
    assert thread.daemon


def test_logging(layer: ChannelLayerWrapper, started: mock.Mock) -> None:
    """CM-05: the logger of our code is set up with the command's verbosity before anything is served."""
    with mock.patch.object(runserver, "setup_logger") as setup_logger:
        call_command("runserver", "--noreload", "--skip-checks", verbosity=2, stdout=io.StringIO())
    setup_logger.assert_called_once_with("routechan", 2)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests.unit.django.nowhere.application", "cannot be imported: No module named 'tests.unit.django.nowhere'"),
        ("tests.unit.django.urls.application", 'cannot be imported: .*does not define a "application"'),
        ("tests.unit.django.urls", "which is a module and no ASGI application"),
    ],
)
def test_an_application_that_is_none(path: str, text: str) -> None:
    """Row 5 of the applications: one that cannot be imported, and a module, are named with what to write."""
    with (
        override_settings(ASGI_APPLICATION=path),
        pytest.raises(CommandError, match=rf"ASGI_APPLICATION is '{path}'.*{text}.*project.asgi.application"),
    ):
        runserver.Command().get_application()


def test_without_a_server_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uvicorn the command says how to install it, before any reloader runs."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"pip install 'routechan\[server\]'"):
        call_command("runserver")
