"""``manage.py rundelay``: CM-25, and two of them on one table."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from routechan.layers import RedisChannelLayer, SyncChannelLayer
from routechan_django.delay.management.commands import rundelay
from tests.processes import PATIENCE, ROOT
from tests.redis_servers import SingleServer, shared


@pytest.fixture(autouse=True)
def logger(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """In place of the logger of the whole process, which the command would turn to the console."""
    setup_logger = mock.Mock()
    monkeypatch.setattr(rundelay, "setup_logger", setup_logger)
    return setup_logger


def test_a_layer_of_one_process_is_refused(ten: SyncChannelLayer) -> None:
    """CM-25: where no other process sees the layer, with what to do instead; so is an unknown alias."""
    with pytest.raises(CommandError, match="lives in one process.*send_later"):
        call_command("rundelay")
    with pytest.raises(CommandError, match="no alias 'other'"):
        call_command("rundelay", layer="other")


@pytest.mark.parametrize(("arguments", "seconds"), [([], 1), (["--sleep", "2.5"], 2.5)])
def test_what_it_runs(ten: SyncChannelLayer, logger: mock.Mock, arguments: list[str], seconds: float) -> None:
    """CM-25: the worker on the layer, with the seconds between looks; Ctrl-C ends it without a word."""
    several = mock.patch.object(type(ten.layer), "crosses_processes", True)
    with several, mock.patch.object(rundelay, "Worker") as worker:
        worker.return_value.run.side_effect = KeyboardInterrupt
        call_command("rundelay", "--layer", "default", *arguments)
    logger.assert_called_once_with("routechan", 1)
    worker.assert_called_once_with(ten, database_sleep_duration=seconds)


PROJECT = """
import sys, json, django
from django.conf import settings
from django.core.management import call_command
database, config = sys.argv[1:]
settings.configure(
    INSTALLED_APPS=["routechan_django", "routechan_django.delay"], USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
    CHANNEL_LAYERS={"default": {
        "BACKEND": "routechan.layers.RedisChannelLayer", "ROUTING": [], "CONFIG": json.loads(config),
    }},
)
django.setup()
call_command("migrate", verbosity=0)
print("migrated", flush=True)
sys.stdin.readline()
call_command("rundelay", sleep_duration=0.05)
"""


@contextmanager
def servers(config: dict[str, Any], path: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that run ``rundelay``, begun one after the other so that one alone makes the table."""
    command = [sys.executable, "-W", "error", "-c", PROJECT, str(path / "db"), json.dumps(config)]
    pipe, environment = subprocess.PIPE, {"PYTHONPATH": str(ROOT)}
    running: list[subprocess.Popen[str]] = []
    try:
        for _ in range(count):
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
            )
            running.append(process)
            assert process.stdout is not None
            assert process.stdout.readline() == "migrated\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_two_servers_share_the_work(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """DL-14: two processes, one table: each message is sent once; SIGTERM ends each with status 0 (DL-07)."""
    config = {"hosts": shared(pytestconfig, SingleServer).hosts, "prefix": f"delay{os.urandom(4).hex()}"}
    layer = RedisChannelLayer(**config)
    seen: Counter[int] = Counter()
    outputs: list[str] = []
    with servers(config, tmp_path, 2) as running:
        for number in range(60):
            layer.sync.send("asgi.delay", {"channel": "test", "content": {"n": number}, "delay": 500})
        while len(seen) < 60:
            channel, content = layer.sync.receive(["test"], block=True)
            assert channel == "test", f"only {len(seen)} came"
            seen[content["n"]] += 1
        for process in running:
            process.send_signal(signal.SIGTERM)
            outputs.append(process.communicate(timeout=PATIENCE)[0])
            assert process.returncode == 0, outputs[-1]
    assert layer.sync.receive(["test"]) == (None, None)
    layer.sync.flush()
    layer.close()
    assert set(seen.values()) == {1}
    assert len(re.findall("Sent the delayed message", "".join(outputs))) == 60
    assert "Traceback" not in "".join(outputs)
