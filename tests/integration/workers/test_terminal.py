"""``manage.py routechan send`` and ``listen``, beside a server and workers."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
from websockets.asyncio.client import connect

from tests.processes import PATIENCE, ServerProcess
from tests.waiting import until

from .fleet import Fleet

DJANGO = ("-m", "django")
SETTINGS = ("--settings", "tests.unit.monitor.settings")


class Listener(ServerProcess):
    """The command; it serves no port: entering waits until it has joined."""

    def answers(self) -> bool:
        return "Listening to the group" in self.output


def run(fleet: Fleet, *arguments: str) -> str:
    """What ``routechan`` with ``arguments`` prints, to stderr or stdout."""
    code = (
        "import sys; sys.stderr = sys.stdout\nfrom django.core.management import execute_from_command_line as run\n"
        f"run(['manage.py', 'routechan', *{(*arguments, *SETTINGS)!r}])"
    )
    return fleet.run("-c", code, LAYER_OPTIONS="{}")


async def test_what_a_site_says(fleet: Fleet) -> None:
    """A message by hand is consumed by a worker, and what that sends to a group is one line of JSON at a listener."""
    environment = {**fleet.environment, "LAYER_OPTIONS": "{}"}
    listening = Listener((*DJANGO, "routechan", "listen", "everyone", *SETTINGS), 0, environment=environment)
    with listening as listener:
        sent = await asyncio.to_thread(run, fleet, "send", "work", '{"text": "by hand"}')
        assert "Sent to work: 3 processes read it, 0 messages wait there now." in sent
        async with connect(fleet.urls("/")[0]):
            sent = await asyncio.to_thread(run, fleet, "send", "--group", "everyone", '{"text": "äll"}')
        assert "Sent to the group everyone: 2 members." in sent
        await until(lambda: len(listener.lines) == 3, "both messages are there")
        first, second = map(json.loads, listener.lines[1:])
        pids = {str(worker.process.pid) for worker in fleet.workers}
        assert first["text"].rpartition(" by ")[0] == "by hand"
        assert first["text"].rpartition(" by ")[2] in pids
        assert second == {"text": "äll"}
        listener.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(listener.process.wait, PATIENCE) == 0
    assert "has no members now" in await asyncio.to_thread(run, fleet, "send", "--group", "everyone", "{}")
    assert "Traceback" not in listener.output


async def test_without_django(fleet: Fleet) -> None:
    """``python -m routechan`` has both; where Redis is may be in the environment, as for ``serve``."""
    environment = {**fleet.environment, "ROUTECHAN_REDIS": fleet.environment["REDIS"]}
    prefix = ("--prefix", fleet.environment["REDIS_PREFIX"])
    command = ("-m", "routechan")
    with Listener((*command, "listen", "everyone", *prefix), 0, environment=environment) as listener:
        sent = await asyncio.to_thread(
            fleet.run, *command, "send", "work", '{"text": "x"}', *prefix, "--redis", fleet.environment["REDIS"]
        )
        assert "Sent to work: 3 processes read it" in sent
        await until(lambda: "x by" in listener.output, "the message is there")
        listener.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(listener.process.wait, PATIENCE) == 0
    assert "Traceback" not in listener.output


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("nobody.reads.this", "no process says that it reads this channel, 1 message waits there now"),
        ("websocket.keepalive", "no process says that it reads this channel"),
    ],
)
async def test_a_channel_that_nobody_reads(fleet: Fleet, channel: str, expected: str) -> None:
    """The message is sent, as a worker may come, and it is said that none reads it."""
    assert expected in await asyncio.to_thread(run, fleet, "send", channel, '{"text": "x"}')
