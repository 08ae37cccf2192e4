"""``manage.py runworker``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any, ClassVar
from unittest import mock

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings
from django.utils import autoreload

from routechan import route
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, channel_layers
from routechan.message import Message
from routechan.worker import WorkerProcess
from routechan_django.handler import ViewConsumer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.management.commands import runworker
from routechan_django.signals import (
    worker_process_ready,
    worker_ready,
)
from routechan_django.staticfiles import StaticFilesConsumer
from routechan_django.worker import Worker
from tests.processes import free_port
from tests.unit.django.helpers import connected

pytestmark = pytest.mark.usefixtures("logger_kept")


class Crossing(InMemoryChannelLayer):
    """A layer that says other processes see it."""

    crosses_processes: ClassVar[bool] = True


@pytest.fixture
def crossing() -> Iterator[ChannelLayerWrapper]:
    """The default layer, with no routes."""
    layer = ChannelLayerWrapper(Crossing().sync, DEFAULT_CHANNEL_LAYER, [])
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, layer):
        yield layer


class Ran:
    """What the command would have run."""

    def __init__(self) -> None:
        self.workers: list[WorkerProcess] = []
        self.health: Any = None
        self.events: list[str] = []

    def __call__(self, worker: WorkerProcess, *, health: Any = None, parent: Any = None) -> None:
        self.workers.append(worker)
        self.health = health
        self.events.append("run")

    @property
    def worker(self) -> WorkerProcess:
        (worker,) = self.workers
        return worker


@pytest.fixture
def ran() -> Iterator[Ran]:
    ran = Ran()
    with mock.patch.object(runworker, "run", ran):
        yield ran


def test_a_layer_of_one_process_is_refused(layer: ChannelLayerWrapper) -> None:
    """CM-21, test_management runworker_no_local_only: nobody else could send to it, and the text says what to do."""
    with pytest.raises(CommandError, match="lives in one process.*RedisChannelLayer"):
        call_command("runworker")


def test_an_unknown_layer_is_refused(layer: ChannelLayerWrapper) -> None:
    """CM-16: ``--layer`` names an alias of CHANNEL_LAYERS."""
    with pytest.raises(CommandError, match="no alias 'other' for --layer; it has default"):
        call_command("runworker", "--layer", "other")


def test_what_is_run(crossing: ChannelLayerWrapper, ran: Ran) -> None:
    """CM-19, CM-22: a ``WorkerProcess``; one plain consumer at a time and all channels, if nothing else is said."""
    call_command("runworker")
    worker, channels = ran.worker, tuple(sorted(crossing.router.channels))
    assert "http.request" in channels
    assert (worker.layer, worker.channels, worker.threads, worker.drain) == (crossing, channels, 1, 30.0)
    call_command("runworker", "--threads", "3", "--drain", "1.5")
    assert (ran.workers[1].threads, ran.workers[1].drain) == (3, 1.5)


@pytest.mark.parametrize(
    ("consumers", "own", "text", "level"),
    [
        ("inline", ["mail"], "leave mail to this worker", "INFO"),
        ("inline", [], "leave nothing for this worker to do", "WARNING"),
        ("workers", ["mail"], None, None),
    ],
)
def test_beside_servers_that_run_consumers(
    crossing: ChannelLayerWrapper,
    ran: Ran,
    consumers: str,
    own: list[str],
    text: str | None,
    level: str | None,
) -> None:
    """CM-21: where ``CONSUMERS`` says that servers run consumers, the worker says what they leave to it."""
    for name in ("websocket.connect", "websocket.receive", *own):
        crossing.router.add_route(route(name, print))
    entry = {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": [], "CONSUMERS": consumers}
    records: list[logging.LogRecord] = []
    with (
        override_settings(CHANNEL_LAYERS={"default": entry}),
        channel_layers.override("default", crossing),
        mock.patch("routechan_django.log.handler.emit", records.append),
    ):
        call_command("runworker")
    found = [record for record in records if "CONSUMERS" in record.msg]
    assert [record.levelname for record in found] == ([] if level is None else [level])
    assert text is None or text in found[0].getMessage()


@pytest.mark.parametrize(("options", "name"), [({}, "Worker"), ({"threads": 3}, "WorkerGroup")])
def test_a_class_in_the_place_of_worker(crossing: ChannelLayerWrapper, options: dict[str, Any], name: str) -> None:
    """CM-22, CM-23, test_management runworker: tests and projects of 1.x patch it, and it is made and run as there."""
    more = {"n_threads": 3} if options else {}
    process_ready = mock.Mock()
    with mock.patch.object(runworker, name) as made, connected(process_ready, worker_process_ready):
        made.return_value.run.side_effect = KeyboardInterrupt
        call_command("runworker", only_channels=["x.*"], **options)
        made.assert_called_once_with(
            channel_layer=crossing, callback=None, only_channels=["x.*"], exclude_channels=None, **more
        )
        assert [call[0] for call in made.return_value.method_calls] == ["ready", "run"]
        assert process_ready.call_args.kwargs["sender"] is made.return_value
        call_command("runworker", verbosity=2, **options)
        assert made.call_args.kwargs["callback"] is not None


def test_filters(crossing: ChannelLayerWrapper, ran: Ran) -> None:
    """CM-17, CM-18, WK-02: globs, which may be given several times."""
    for name in ("images.big", "images.small", "mail", "post"):
        crossing.router.add_route(route(name, print))
    call_command("runworker", "--only-channels", "images.*", "--only-channels=mail", "--exclude-channels", "*.small")
    assert ran.worker.channels == ("images.big", "mail")


def test_verbose(crossing: ChannelLayerWrapper, ran: Ran) -> None:
    """CM-21, WK-12: verbosity 2 logs the channel of each message that has a consumer, before it runs."""
    crossing.router.add_route(route("thumbnail", print))
    lines: list[str] = []
    for verbosity in (1, 2):
        call_command("runworker", verbosity=verbosity)
        with mock.patch("routechan_django.log.handler.emit", lambda record: lines.append(record.getMessage())):
            for channel in ("thumbnail", "nobodys"):
                ran.workers[-1].dispatcher.match(Message({}, channel, crossing))
    assert [line for line in lines if "No route" not in line] == ["thumbnail"]


def test_a_callback_that_fails(crossing: ChannelLayerWrapper, ran: Ran, caplog: pytest.LogCaptureFixture) -> None:
    """WK-28 mended: what only watches costs no message."""

    class Watching(runworker.Command):
        def consumer_called(self, channel: str, message: Message) -> None:
            raise LookupError(channel)

    crossing.router.add_route(route("thumbnail", print))
    call_command(Watching(), verbosity=2)
    logging.getLogger("routechan").propagate = True
    assert ran.worker.dispatcher.match(Message({}, "thumbnail", crossing)) is not None
    assert "The worker's callback failed before" in caplog.text


def test_signals(crossing: ChannelLayerWrapper, ran: Ran) -> None:
    """CM-23, SG-03, SG-04: ready for the process, then for the worker, then it runs; the sender is the worker."""
    senders: list[Any] = []

    def process_ready(sender: Any, **kwargs: Any) -> None:
        senders.append(sender)
        ran.events.append("process ready")

    def ready(sender: Any, **kwargs: Any) -> None:
        senders.append(sender)
        ran.events.append("ready")

    with connected(process_ready, worker_process_ready), connected(ready, worker_ready):
        call_command("runworker")
    assert ran.events == ["process ready", "ready", "run"]
    assert senders == [ran.worker, ran.worker]


def test_consumer_signals(crossing: ChannelLayerWrapper, ran: Ran, signals_sent: Any) -> None:
    """SG-01, SG-02, WK-13: sent around each consumer, with the class of 1.x's worker as sender and an empty environ."""

    def fails(message: Message) -> None:
        raise LookupError

    crossing.router.add_route(route("thumbnail", fails))
    call_command("runworker")
    dispatcher = ran.worker.dispatcher
    run = dispatcher.match(Message({}, "thumbnail", crossing))
    assert run is not None
    signals_sent.clear()
    dispatcher.call(run)
    assert [(sent.name, sent.sender, sorted(sent.arguments)) for sent in signals_sent] == [
        ("consumer_started", Worker, ["environ"]),
        ("consumer_failed", Worker, ["consumer", "exception", "message"]),
        ("consumer_finished", Worker, []),
    ]


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("debug", [True, False])
def test_default_consumers(crossing: ChannelLayerWrapper, ran: Ran, static: bool, debug: bool) -> None:
    """CM-21, CM-24, runworker debug: the default of ``http.request`` serves static files in development only."""
    installed = ["routechan_django", *(["django.contrib.staticfiles"] if static else [])]
    with override_settings(DEBUG=debug, INSTALLED_APPS=installed, STATIC_URL="/static/"):
        call_command("runworker")
    consumer = crossing.router.defaults[0].consumer  # type: ignore[attr-defined]
    assert type(consumer) is (StaticFilesConsumer if static and debug else ViewConsumer)


def test_health(crossing: ChannelLayerWrapper, ran: Ran) -> None:
    """``--health``: the port is taken before the worker is said to be ready; one that is in use is named."""
    port = free_port()
    call_command("runworker", "--health", f"127.0.0.1:{port}")
    with ran.health:
        text = f"--health: port {port} is in use; choose another one"
        for several in ((), ("--processes", "2")):
            with pytest.raises(CommandError, match=text):
                call_command("runworker", "--health", f"127.0.0.1:{port}", *several)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--threads", "0"], "--threads is a number from 1 on, not 0"),
        (["--processes", "-1"], "--processes is a number from 1 on, not -1"),
        (["--drain", "-1"], "--drain is a number of seconds of at least 0, not -1"),
        (["--drain", "nan"], "--drain is a number of seconds of at least 0, not nan"),
        (["--drain", "inf"], "--drain is a number of seconds of at least 0, not inf"),
        (["--health", "http"], "--health: a port is a number from 1 to 65535, alone or as in .*, not 'http'"),
        (["--health", "65535", "--processes", "2"], "would be at port 65536, and 65535 is the last there is"),
        (["--reload", "--processes", "2"], "--reload is for one process in development"),
        (["--only-channels", "imgaes.*"], "leave no channel to work on; the routing has http.request"),
        (["--exclude-channels", "*", "--processes", "2"], "leave no channel to work on"),
        (["--threads", "many"], "--threads: invalid int value"),
    ],
)
def test_options_that_make_no_sense(crossing: ChannelLayerWrapper, ran: Ran, options: list[str], text: str) -> None:
    """They are refused before anything runs, with what would make sense."""
    crossing.router.check_default(http_consumer=ViewConsumer())
    with pytest.raises(CommandError, match=text):
        call_command("runworker", *options)
    assert ran.workers == []


def test_processes_on_windows(crossing: ChannelLayerWrapper, ran: Ran) -> None:
    """They are refused there, with what to do."""
    with mock.patch.object(runworker.sys, "platform", "win32"):
        with pytest.raises(CommandError, match="does not work on Windows; start runworker as often"):
            call_command("runworker", "--processes", "2")
        call_command("runworker")
    assert len(ran.workers) == 1


def test_several_processes(crossing: ChannelLayerWrapper, ran: Ran) -> None:
    """``--processes`` runs this very command again, and exits with what comes of it; a child runs one worker."""
    with (
        mock.patch.object(sys, "argv", [__file__, "runworker"]),
        mock.patch.object(runworker, "Supervisor") as processes,
    ):
        processes.return_value.run.return_value = 1
        with pytest.raises(SystemExit) as ended:
            call_command("runworker", "--processes", "2", "--drain", "3")
        command = [str(word) for word in autoreload.get_child_arguments()]
    assert ended.value.code == 1
    processes.assert_called_once_with(command, 2, drain=3.0)
    assert ran.workers == []


def test_locale_and_help() -> None:
    """CM-20, and every option of 1.x and of ours."""
    assert runworker.Command.leave_locale_alone
    text = runworker.Command().create_parser("manage.py", "runworker").format_help()
    ours = ("--processes N", "--drain SECONDS", "--reload", "--health [HOST:]PORT")
    assert all(option in text for option in ("--layer", "--only-channels", "--exclude-channels", "--threads N", *ours))
