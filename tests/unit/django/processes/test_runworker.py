"""``manage.py runworker``, as a real process."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from routechan.layers import RedisChannelLayer
from tests.processes import PATIENCE, free_port
from tests.redis_servers import SingleServer, shared
from tests.unit.django.alias.running import environment, write_files
from tests.unit.worker.conftest import Worker as WorkerServer
from tests.unit.worker.test_health import get

from .projects import MANAGE

pytestmark = pytest.mark.slow

SETTINGS = """
import json, os
DEBUG = True
SECRET_KEY = "x"
INSTALLED_APPS = ["routechan_django"]
CHANNEL_LAYERS = {"default": {
    "BACKEND": "routechan.layers.RedisChannelLayer", "ROUTING": "project.routes.routes",
    "CONFIG": json.loads(os.environ["TEST_LAYER"]),
}}
"""

ROUTES = """
import os, time
from PACKAGE.routing import route

def square(message):
    message.reply_channel.send({"square": message["number"] ** 2, "pid": os.getpid()})

def slow(message):
    message.reply_channel.send({"began": True}, immediately=True)
    time.sleep(message["seconds"])
    message.reply_channel.send({"ended": True})

routes = [route("square", square), route("slow", slow)]
"""


class Project:
    """A Django project, and a layer that sends work to its workers. Lifetime: test."""

    def __init__(self, folder: Path, servers: SingleServer) -> None:
        self.folder = folder
        self.newest = time.time()
        config = {"hosts": servers.hosts, "prefix": f"runworker{uuid.uuid4().hex}"}
        write_files(folder, {"manage.py": MANAGE, "project/__init__.py": "", "project/settings.py": SETTINGS})
        self.write_routes(ROUTES.replace("PACKAGE", "routechan"))
        self.layer = RedisChannelLayer(**config)
        self.replies = self.layer.sync.new_channel("answers?")
        self.environment = environment(folder, TEST_LAYER=json.dumps(config))

    def write_routes(self, text: str) -> None:
        (self.folder / "project/routes.py").write_text(text)

    def touched(self, name: str) -> bool:
        """Make a file look newer: the reloader may not have looked at it yet."""
        self.newest += 10
        os.utime(self.folder / name, (self.newest, self.newest))
        return True

    def worker(self, *options: str, python: tuple[str, ...] = (), ready: str = "Listening on channels") -> WorkerServer:
        return WorkerServer(
            [*python, "manage.py", "runworker", *options],
            ready=ready,
            cwd=self.folder,
            environment=self.environment,
        )

    def send(self, channel: str, **content: Any) -> None:
        self.layer.sync.send(channel, {"reply_channel": self.replies, **content})

    def answer(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            _, content = self.layer.sync.receive([self.replies], block=True)
            if content is not None:
                return content
        raise AssertionError("no answer came")


@pytest.fixture
def project(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Project]:
    project = Project(tmp_path, shared(pytestconfig, SingleServer))
    yield project
    project.layer.close()


def test_a_worker_process(project: Project) -> None:
    """A real process takes messages off Redis and answers; a signal ends it with status 0 when it has drained."""
    port = free_port()
    with project.worker("--threads", "3", "--health", str(port)) as worker:
        for number in range(5):
            project.send("square", number=number)
        assert sorted(project.answer()["square"] for _ in range(5)) == [0, 1, 4, 9, 16]
        assert b"routechan_" in get(port, "/metrics")[2]
        project.send("slow", seconds=0.3)
        assert project.answer() == {"began": True}
        worker.tell(signal.SIGINT)
        assert worker.ended() == 0, worker.output
        assert project.answer() == {"ended": True}
        assert "Traceback" not in worker.output


def test_processes_of_an_unchanged_project(project: Project) -> None:
    """``python -m routechan_django.alias manage.py runworker --processes 2``: the children know the old names too."""
    project.write_routes(ROUTES.replace("PACKAGE", "channels"))
    alias = ("-m", "routechan_django.alias")
    with project.worker("--processes", "2", python=alias, ready="Worker process 2") as parent:
        parent.says("is ready", 2)
        pids = set(re.findall(r"\(pid (\d+)\) is ready", parent.output))
        project.send("square", number=3)
        answer = project.answer()
        assert answer["square"] == 9
        assert str(answer["pid"]) in pids
        parent.tell(signal.SIGTERM)
        assert parent.ended() == 0, parent.output
        assert "Traceback" not in parent.output


def test_reloading(project: Project) -> None:
    """``--reload``: what runs is finished, then the new code runs."""
    with project.worker("--reload") as worker:
        project.send("slow", seconds=2)
        assert project.answer() == {"began": True}
        project.write_routes(ROUTES.replace("PACKAGE", "routechan").replace("** 2", "** 3"))
        worker.wait_until(
            lambda: project.touched("project/routes.py") and "changed, reloading" in worker.output, "it sees it"
        )
        assert project.answer() == {"ended": True}
        worker.says("Listening on channels", 2)
        project.send("square", number=3)
        assert project.answer()["square"] == 27
        worker.tell(signal.SIGTERM)
        worker.ended()
