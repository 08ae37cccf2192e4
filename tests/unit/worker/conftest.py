"""Workers in processes of their own, and a layer that sends them work."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from routechan.layers import RedisChannelLayer
from tests.processes import PATIENCE, ServerProcess
from tests.redis_servers import SingleServer, shared

Start = Callable[..., "Worker"]


class Worker(ServerProcess):
    """A worker process, ready for messages when it is entered."""

    def __init__(self, arguments: list[str], *, ready: str, times: int = 1, **options: Any) -> None:
        super().__init__(arguments, 0, **options)
        self._ready = ready
        self._times = times

    def answers(self) -> bool:
        return self.output.count(self._ready) >= self._times

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def says(self, text: str, times: int = 1) -> None:
        """Wait until the log has this."""
        self.wait_until(lambda: self.output.count(text) >= times, f"it says {text!r} {times} times")

    def ended(self, within: float = PATIENCE) -> int:
        """The exit status; the log is complete then."""
        status = self.process.wait(within)
        self._reader.join(PATIENCE)
        return status


class Work:
    """Sends messages, and gets the answers. Lifetime: test."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.layer = RedisChannelLayer(**config)
        self.replies = [self.layer.sync.new_channel("answers?") for _ in range(4)]

    def send(self, channel: str, *, to: int = 0, **content: Any) -> None:
        """``to``: one of four reply channels; messages with the same one are run one after another."""
        self.layer.sync.send(channel, {"reply_channel": self.replies[to], **content})

    def answer(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            _, content = self.layer.sync.receive(self.replies, block=True)
            if content is not None:
                return content
        raise AssertionError("no answer came")

    def answers(self) -> list[dict[str, Any]]:
        """Those that are there."""
        found = []
        while (content := self.layer.sync.receive(self.replies)[1]) is not None:
            found.append(content)
        return found


@pytest.fixture
def work(pytestconfig: pytest.Config) -> Iterator[Work]:
    config = {
        "hosts": shared(pytestconfig, SingleServer).hosts,
        "prefix": f"worker{uuid.uuid4().hex}",
        "capacity": 10_000,
    }
    work = Work(config)
    yield work
    work.layer.close()


@pytest.fixture
def start(work: Work) -> Iterator[Start]:
    """``start(*options, processes=1)``: a worker of ``tests/worker/plain.py`` that takes messages."""
    with ExitStack() as workers:

        def start(*options: str, processes: int = 1) -> Worker:
            arguments = ["-m", "tests.unit.worker.plain", json.dumps(work.config), *options]
            several = ["--processes", str(processes)] if processes > 1 else []
            worker = Worker([*arguments, *several], ready="Listening on channels", times=processes)
            return workers.enter_context(worker)  # type: ignore[return-value]

        yield start


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """What a worker reads at its start."""
    file = tmp_path / "code"
    file.write_text("good")
    return file
