"""The test's side of ``child``: start processes, tell them what to do, collect what they received."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from tests.processes import ROOT
from tests.waiting import stretched, wait_until

#: Seconds for an answer of a child.
PATIENCE = 20.0


class ChildProcess:
    """One ``child``. Lifetime: test."""

    def __init__(self, options: dict[str, Any], arguments: tuple[str, ...]) -> None:
        self.received: dict[str, list[Any]] = {}
        self.senders: dict[str, dict[str, Any]] = {}
        self.stderr = ""
        self._answers: SimpleQueue[str] = SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, *arguments, "-m", "tests.integration.redis.child", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            start_new_session=True,
        )
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def ask(self, method: str, *arguments: Any) -> Any:
        self.tell(method, *arguments)
        return self.answer()

    def tell(self, method: str, *arguments: Any) -> None:
        """Ask, and leave the answer for ``answer``."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        try:
            return json.loads(self._answers.get(timeout=stretched(PATIENCE)))
        except (Empty, json.JSONDecodeError):
            raise AssertionError(f"the child does not answer; its standard error:\n{self.stderr}") from None

    def update(self) -> None:
        """Learn what it received and sent."""
        report = self.ask("report")
        assert report["errors"] == []
        self.senders = report["senders"]
        for name, items in report["received"].items():
            self.received.setdefault(name, []).extend(items)

    def got(self, name: str) -> list[Any]:
        """All it has received under ``name`` by now."""
        self.update()
        return self.received.get(name, [])

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End of input, and of the process."""
        if self.process.poll() is None:
            self.go_on()
        with suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the child did not end; its standard error:\n{self.stderr}") from None
        finally:
            for thread in self._threads:
                thread.join(PATIENCE)
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr += line


class Children:
    """All processes of a test, on one layer. Lifetime: test."""

    def __init__(self, stack: ExitStack, hosts: list[Any], options: dict[str, Any]) -> None:
        self.options = {"hosts": hosts, "prefix": f"faults-{uuid4().hex[:8]}", **options}
        self.all: list[ChildProcess] = []
        self._stack = stack

    def start(self, count: int, *arguments: str) -> list[ChildProcess]:
        """``count`` processes that are ready; ``arguments`` are Python's."""
        new: list[ChildProcess] = []
        for _ in range(count):
            child = ChildProcess(self.options, arguments)
            self._stack.callback(child.stop)
            new.append(child)
            child.tell("ready")
        for child in new:
            child.answer()
        self.all += new
        return new

    def update(self) -> None:
        for child in self.all:
            if child.process.poll() is None:
                child.update()


@contextmanager
def children(hosts: list[Any], **options: Any) -> Iterator[Children]:
    with ExitStack() as stack:
        yield Children(stack, hosts, options)


#: How many messages a subscription takes at a time.
ROOM = 3


class Traffic:
    """Readers and senders on one normal channel. Lifetime: test."""

    def __init__(self, family: Children, readers: int, senders: int, count: int, pause: float = 0.0) -> None:
        self.family = family
        self.readers = family.start(readers)
        self.senders = family.start(senders)
        for number, reader in enumerate(self.readers):
            # Both faces, and subscriptions; some processes with several of these at once.
            if number % 4 in (0, 2, 3):
                reader.ask("read", f"{number}-task", "work", True)
            if number % 4 in (1, 3):
                reader.ask("read", f"{number}-thread", "work", False)
            if number % 4 in (0, 3):
                reader.ask("subscribe", f"{number}-subscription", "work", ROOM)
        for number, sender in enumerate(self.senders):
            sender.ask("send_all", "work", f"s{number}", count, pause, number % 2 == 0)

    def received(self) -> dict[str, list[Any]]:
        return {name: items for reader in self.readers for name, items in reader.received.items()}

    def count(self) -> int:
        return sum(map(len, self.received().values()))

    def sent(self) -> dict[str, int]:
        return {name: state["sent"] for child in self.senders for name, state in child.senders.items()}

    def doubted(self) -> set[tuple[str, int]]:
        return {(name, n) for child in self.senders for name, state in child.senders.items() for n in state["doubted"]}

    def done(self) -> bool:
        self.family.update()
        return all(state["done"] for child in self.senders for state in child.senders.values())

    def flows(self, what: str, seconds: float) -> float:
        """Wait until every sender and every reader goes on; the seconds that took. ``seconds`` are stretched."""
        self.family.update()
        sent, received = self.sent(), {name: len(items) for name, items in self.received().items()}

        stuck: list[str] = []

        def all_go_on() -> bool:
            self.family.update()
            stuck[:] = [name for name, before in sent.items() if self.sent()[name] == before]
            stuck.extend(name for name, items in self.received().items() if len(items) == received[name])
            return not stuck

        try:
            return wait_until(all_go_on, "", seconds)
        except AssertionError:
            said = "".join(child.stderr[-2000:] for child in self.family.all)
            raise AssertionError(f"after {what} these do not go on: {stuck}\n{said}") from None

    def finish(self) -> None:
        """Stop the senders, and wait until nothing more comes."""
        for sender in self.senders:
            sender.ask("stop_senders")
        wait_until(self.done, "the senders are done")
        self.drain()

    def drain(self) -> None:
        """Wait until all is received, or nothing comes any more."""
        quiet_since, before = time.monotonic(), -1

        def all_is_there() -> bool:
            nonlocal quiet_since, before
            self.family.update()
            if self.count() != before:
                quiet_since, before = time.monotonic(), self.count()
            return before == sum(self.sent().values()) or time.monotonic() > quiet_since + stretched(1.0)

        wait_until(all_is_there, "all is received", 120)

    def check(self) -> dict[str, list[int]]:
        """Nothing came twice, nothing out of order; what is missing, by sender, but for what was in doubt."""
        seen: dict[tuple[str, int], str] = {}
        for name, items in self.received().items():
            last: dict[str, int] = {}
            for item in items:
                sender, n = item["sender"], item["n"]
                assert (sender, n) not in seen, f"{sender} {n} came to {seen[sender, n]}, and again to {name}"
                assert n > last.get(sender, -1), f"{name} got {n} of {sender} after {last[sender]}"
                seen[sender, n] = name
                last[sender] = n
        doubted = self.doubted()
        return {
            sender: [n for n in range(count) if (sender, n) not in seen and (sender, n) not in doubted]
            for sender, count in self.sent().items()
        }
