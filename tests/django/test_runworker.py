"""``manage.py runworker``."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, RedisChannelLayer, channel_layers
from routechan_django.handler import ViewConsumer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.management.commands import runworker
from routechan_django.signals import worker_process_ready
from routechan_django.staticfiles import StaticFilesConsumer
from tests.processes import PATIENCE, ROOT
from tests.redis_servers import SingleServer, shared


class Crossing(InMemoryChannelLayer):
    """A layer that says other processes see it."""

    crosses_processes: ClassVar[bool] = True


@pytest.fixture
def crossing() -> Iterator[ChannelLayerWrapper]:
    """The default layer, with no routes."""
    layer = ChannelLayerWrapper(Crossing().sync, DEFAULT_CHANNEL_LAYER, [])
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, layer):
        yield layer


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The command sets the logger up; put back after the test."""
    logger = logging.getLogger("routechan")
    before = logger.level, logger.propagate, [*logger.handlers]
    yield
    logger.level, logger.propagate, logger.handlers = before
    logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def worker() -> Iterator[mock.Mock]:
    with mock.patch.object(runworker, "Worker") as made:
        yield made


def test_a_layer_of_one_process_is_refused(layer: ChannelLayerWrapper) -> None:
    """CM-21, test_management runworker_no_local_only: nobody else could send to it, and the text says what to do."""
    with pytest.raises(CommandError, match="lives in one process.*RedisChannelLayer"):
        call_command("runworker")


def test_an_unknown_layer_is_refused(layer: ChannelLayerWrapper) -> None:
    """CM-16: ``--layer`` names an alias of CHANNEL_LAYERS."""
    with pytest.raises(CommandError, match="no alias 'other' for --layer; it has default"):
        call_command("runworker", "--layer", "other")


def test_one_thread(crossing: ChannelLayerWrapper, worker: mock.Mock) -> None:
    """CM-22, runworker: exactly these arguments; CM-23: ready, then run."""
    call_command("runworker")
    worker.assert_called_once_with(channel_layer=crossing, callback=None, only_channels=None, exclude_channels=None)
    assert [name for name, _, _ in worker.return_value.method_calls] == ["ready", "run"]


def test_filters(crossing: ChannelLayerWrapper, worker: mock.Mock) -> None:
    """CM-17, CM-18: both may be given several times."""
    call_command("runworker", "--only-channels", "a.*", "--only-channels=b", "--exclude-channels", "c")
    worker.assert_called_once_with(
        channel_layer=crossing, callback=None, only_channels=["a.*", "b"], exclude_channels=["c"]
    )


def test_verbose(crossing: ChannelLayerWrapper, worker: mock.Mock, caplog: pytest.LogCaptureFixture) -> None:
    """CM-21, runworker_verbose: verbosity 2 gives the worker a callback, which logs the channel."""
    call_command("runworker", verbosity=2)
    callback = worker.call_args.kwargs["callback"]
    lines: list[str] = []
    with mock.patch("routechan_django.log.handler.emit", lambda record: lines.append(record.getMessage())):
        callback("thumbnail", None)
    assert lines == ["thumbnail"]


def test_threads(crossing: ChannelLayerWrapper) -> None:
    """CM-19, CM-22: with more than one thread a group."""
    with mock.patch.object(runworker, "WorkerGroup") as group:
        call_command("runworker", "--threads", "3")
    group.assert_called_once_with(
        channel_layer=crossing, callback=None, only_channels=None, exclude_channels=None, n_threads=3
    )


def test_process_ready(crossing: ChannelLayerWrapper, worker: mock.Mock) -> None:
    """CM-23, SG-04: sent once, before ``ready``, with the worker as sender; Ctrl-C ends it without a word."""
    seen: list[Any] = []

    def receiver(sender: Any, **kwargs: Any) -> None:
        seen.append((sender, [name for name, _, _ in sender.method_calls]))

    worker.return_value.run.side_effect = KeyboardInterrupt
    worker_process_ready.connect(receiver)
    try:
        call_command("runworker")
    finally:
        worker_process_ready.disconnect(receiver)
    assert seen == [(worker.return_value, [])]


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("debug", [True, False])
def test_default_consumers(crossing: ChannelLayerWrapper, worker: mock.Mock, static: bool, debug: bool) -> None:
    """CM-21, CM-24, runworker debug: the default of ``http.request`` serves static files in development only."""
    installed = ["routechan_django", *(["django.contrib.staticfiles"] if static else [])]
    with override_settings(DEBUG=debug, INSTALLED_APPS=installed, STATIC_URL="/static/"):
        call_command("runworker")
    consumer = crossing.router.defaults[0].consumer  # type: ignore[attr-defined]
    assert type(consumer) is (StaticFilesConsumer if static and debug else ViewConsumer)


def test_locale_and_help() -> None:
    """CM-20, and every option of 1.x."""
    assert runworker.Command.leave_locale_alone
    text = runworker.Command().create_parser("manage.py", "runworker").format_help()
    assert all(option in text for option in ("--layer", "--only-channels", "--exclude-channels", "--threads"))


PROJECT = """
import json, sys
from django.conf import settings
from django.core.management import call_command
settings.configure(
    INSTALLED_APPS=["routechan_django"],
    CHANNEL_LAYERS={"default": {
        "BACKEND": "routechan.layers.RedisChannelLayer", "ROUTING": "routes.routes", "CONFIG": json.loads(sys.argv[1]),
    }},
)
import django
django.setup()
call_command("runworker", *sys.argv[2:])
"""

ROUTES = """
from routechan import route

def square(message):
    message.reply_channel.send({"square": message["number"] ** 2})

routes = [route("square", square)]
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_worker_process(threads: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A real process takes messages off Redis and answers; SIGTERM ends it with status 0 (WK-06, WK-36)."""
    config = {"hosts": shared(pytestconfig, SingleServer).hosts, "prefix": f"runworker{uuid.uuid4().hex}"}
    (tmp_path / "main.py").write_text(PROJECT)
    (tmp_path / "routes.py").write_text(ROUTES)
    layer = RedisChannelLayer(**config)
    answers = layer.sync.new_channel("answers?")
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "main.py"), json.dumps(config), "--threads", threads],
        env={"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for number in range(5):
            layer.sync.send("square", {"number": number, "reply_channel": answers})
        found = [receive(layer, answers)["square"] for _ in range(5)]
        assert sorted(found) == [0, 1, 4, 9, 16]
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
        assert "Listening on channels" in log
        assert "Traceback" not in log
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        layer.close()


def receive(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        _, content = layer.sync.receive([channel], block=True)
        if content is not None:
            return content
    raise AssertionError("no answer came")
