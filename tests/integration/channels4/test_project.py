"""What the project's developer runs: its tests, the system checks, the shell session of row 3, ``runworker``."""

from __future__ import annotations

import os

import pytest

from tests.processes import ServerProcess, free_port

from .conftest import SETTINGS, manage
from .sockets import open_socket, open_sockets

pytest.importorskip("channels", minversion="4.0")

SHELL = """
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
layer = get_channel_layer()
async_to_sync(layer.send)("test_channel", {"type": "hello"})
print(async_to_sync(layer.receive)("test_channel"))
"""

FULL = """
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull, MessageTooLarge
from channels.layers import get_channel_layer
from routechan import Channel
layer = get_channel_layer()
send = async_to_sync(layer.send)
send("tiny", {"type": "hello"})
send("tiny", {"type": "hello"})
for fill in (lambda: send("tiny", {"type": "hello"}), lambda: Channel("tiny").send({}, immediately=True)):
    try:
        fill()
    except ChannelFull as error:
        print("full:", error)
try:
    send("other", {"type": "hello", "data": "x" * 2**24})
except MessageTooLarge as error:
    print("too large")
print(layer.ChannelFull.__mro__[0] is not ChannelFull, layer.expiry, layer.capacity, layer.group_expiry)
"""


def test_its_own_tests(environment: dict[str, str]) -> None:
    """Row 4: tests with a client that connects, sends and receives; those of Channels work on our layer."""
    manage(environment, "test", "tests.integration.channels4.project", "--verbosity", "0")


def test_its_system_checks(environment: dict[str, str]) -> None:
    """A project with both kinds, whose routing is named in ROUTECHAN, is as it should be."""
    assert "no issues" in manage(environment, "check", "--fail-level", "DEBUG")


def test_the_shell_session(environment: dict[str, str]) -> None:
    """Row 3: what a plain shell sends through ``async_to_sync`` it receives, each call on a new event loop."""
    assert "{'type': 'hello'}" in manage(environment, "shell", "-c", SHELL)


def test_exceptions_and_options(environment: dict[str, str]) -> None:
    """R11: ``channels.exceptions`` catch ours; options written for channels_redis keep their meaning."""
    printed = manage(environment, "shell", "-c", FULL)
    assert printed.count("full: channel 'tiny' is full") == 2
    assert "too large" in printed
    assert "True 10 1500 3600" in printed


async def _thumbnail(port: int) -> str:
    async with open_socket(port, "/room/gallery/") as gallery, open_socket(port, "/thumbnails/") as orders:
        await gallery.json()
        await orders.send("5")
        return await gallery.text()


class Worker(ServerProcess):
    """``runworker thumbnails``; there is nothing to connect to, so it is up when it reads its channel."""

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__(["-m", "django", "runworker", "thumbnails"], 0, environment=environment)

    def answers(self) -> bool:
        return True


async def test_a_worker_process(environment: dict[str, str], server: ServerProcess) -> None:
    """``runworker`` is one ``receive`` after the other: it takes what a function sends, and answers the group."""
    if environment["TEST_LAYER"] == "memory":
        pytest.skip("no other process sees the layer in memory")
    with Worker({**os.environ, **environment}) as worker:
        assert await _thumbnail(server.port) == "thumbnail 5 is made"
        assert worker.process.poll() is None


@pytest.mark.parametrize("application", ["application", "sockets"])
async def test_runserver(application: str) -> None:
    """Our ``runserver`` serves an application with a place for "lifespan", and one without, as older projects have."""
    port = free_port()
    settings = {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "TEST_APPLICATION": f"tests.integration.channels4.project.asgi.{application}",
    }
    with ServerProcess(["-m", "django", "runserver", "--noreload", str(port)], port, environment=settings):
        async with open_sockets(port, "/room/dev/", "/plain/dev/") as (instance, plain):
            await instance.json()
            await plain.send("hello")
            assert await instance.text() == "hello"
