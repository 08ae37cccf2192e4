"""``WorkerGroup``: several workers in one process."""

from __future__ import annotations

import os
import threading

import pytest

from routechan import Message, route
from routechan.worker import Worker, WorkerGroup
from tests.waiting import wait_until

from ...helpers import DEADLINE
from .running import Running, layer_with, raising


def test_group_has_so_many_workers() -> None:
    """WK-32: the calling thread and ``n_threads - 1`` others; below one, just the calling thread."""
    layer = layer_with([])
    assert isinstance(WorkerGroup(layer), Worker)
    assert len(WorkerGroup(layer, n_threads=3).sub_workers) == 2
    assert [len(WorkerGroup(layer, n_threads=count).sub_workers) for count in (1, 0, -1)] == [0, 0, 0]
    assert len(WorkerGroup(layer).sub_workers) == (os.cpu_count() or 1) - 1


def test_inner_workers_get_the_same_arguments() -> None:
    """WK-33: but for ``signal_handlers``; giving that by position is a ``TypeError``."""
    layer = layer_with([])
    group = WorkerGroup(layer, print, message_retries=3, only_channels=["a"], n_threads=2)
    (inner,) = group.sub_workers
    assert (inner.channel_layer, inner.callback, inner.message_retries) == (layer, print, 3)
    assert (group.signal_handlers, inner.signal_handlers) == (True, False)
    assert inner.only_channels == ["a"]
    with pytest.raises(TypeError, match="signal_handlers"):
        WorkerGroup(layer, None, 10, True, n_threads=2)


def test_group_ready() -> None:
    """WK-34: for the group, then for each inner worker."""
    told: list[Worker] = []
    group = WorkerGroup(layer_with([]), n_threads=3, ready_hook=told.append)
    group.ready()
    assert told == [group, *group.sub_workers]


def test_group_runs_in_all_threads() -> None:
    """WK-32, WK-35: as many consumers at once as threads; the inner ones are daemon threads."""
    layer = layer_with([])
    together = threading.Barrier(3)
    passed: list[threading.Thread] = []

    def consumer(message: Message) -> None:
        together.wait(DEADLINE)
        passed.append(threading.current_thread())

    layer.router.add_route(route("a", consumer))
    group = WorkerGroup(layer, signal_handlers=False, n_threads=3)
    with Running(group):
        for _ in range(3):
            layer.send("a", {})
        wait_until(lambda: len(passed) == 3)
    assert set(group.threads) < set(passed)
    assert len(set(passed)) == 3
    assert all(thread.daemon for thread in group.threads)
    for thread in group.threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()


@pytest.mark.usefixtures("every_line")
def test_an_inner_worker_does_not_die(caplog: pytest.LogCaptureFixture) -> None:
    """WK-37: none needs to be replaced: what ended one in 1.x is logged."""
    layer = layer_with([route("a", raising(SystemExit("broken consumer")))])
    group = WorkerGroup(layer, signal_handlers=False, n_threads=2, finished=raising(RuntimeError("broken hook")))
    with Running(group):
        for _ in range(10):
            layer.send("a", {})
        wait_until(lambda: caplog.text.count("SystemExit: broken consumer") == 10)
        assert [thread.is_alive() for thread in group.threads] == [True]
