"""``routechan_django.worker``: the worker with Django's signals; small modules of 1.x beside it."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from routechan import Message, route
from routechan.routing import Router
from routechan.worker import Worker as CoreWorker
from routechan_django import package_checks
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.utils import name_that_thing
from routechan_django.worker import Worker, WorkerGroup


def once(worker: CoreWorker, layer: ChannelLayerWrapper, consumer: Any, content: dict[str, Any] | None = None) -> None:
    """Send one message to ``consumer`` and have the worker take it."""

    def consume(message: Message) -> None:
        worker.stop()
        consumer(message)

    layer.router = Router([route("thumbnail", consume)])
    layer.send("thumbnail", content or {})
    worker.run()


@pytest.mark.parametrize("kind", [Worker, WorkerGroup])
def test_signals_around_a_consumer(kind: type[CoreWorker], layer: ChannelLayerWrapper, signals_sent: Any) -> None:
    """WK-13, SG-01 to SG-03: ready, started with ``environ={}``, finished; the worker's class is the sender."""
    worker = kind(channel_layer=layer, signal_handlers=False, **({"n_threads": 1} if kind is WorkerGroup else {}))
    worker.ready()
    once(worker, layer, lambda message: signals_sent.append(("consumer", message.channel.name, 0, {})))
    assert [(name, sender, arguments) for name, sender, _, arguments in signals_sent] == [
        ("worker_ready", worker, {}),
        ("consumer_started", kind, {"environ": {}}),
        ("consumer", "thumbnail", {}),
        ("consumer_finished", kind, {}),
    ]


def test_a_consumer_that_fails(layer: ChannelLayerWrapper, signals_sent: Any) -> None:
    """``consumer_failed`` carries message, consumer and exception; ``consumer_finished`` is sent all the same."""

    def fail(message: Message) -> None:
        raise ValueError("no")

    once(Worker(layer, signal_handlers=False), layer, fail)
    assert sorted(sent.name for sent in signals_sent) == ["consumer_failed", "consumer_finished", "consumer_started"]
    (failed,) = [sent.arguments for sent in signals_sent if sent.name == "consumer_failed"]
    assert str(failed["exception"]) == "no"
    assert failed["message"].channel.name == "thumbnail"


def test_a_group_tells_of_each_worker(layer: ChannelLayerWrapper, signals_sent: Any) -> None:
    """WK-34: ``worker_ready`` for the group, then for each other worker; a group is a ``Worker`` (WK-32)."""
    group = WorkerGroup(layer, signal_handlers=False, n_threads=3)
    group.ready()
    assert isinstance(group, Worker)
    assert [sent[:2] for sent in signals_sent] == [("worker_ready", worker) for worker in (group, *group.sub_workers)]
    assert len(group.sub_workers) == 2


def test_arguments_by_position(layer: ChannelLayerWrapper) -> None:
    """WK-01: those of 1.x, in its order."""
    callback = print
    worker = Worker(layer, callback, 3, False, ["a.*"], ["b"])
    assert (worker.channel_layer, worker.callback, worker.message_retries) == (layer, callback, 3)
    assert (worker.signal_handlers, worker.only_channels, worker.exclude_channels) == (False, ["a.*"], ["b"])


def test_name_that_thing() -> None:
    """UT-01 to UT-03: where 1.x had it."""
    assert name_that_thing(name_that_thing) == "routechan.inspection.naming.name_that_thing"
    assert name_that_thing(Worker) == "routechan_django.worker.Worker"
    assert name_that_thing(5) == "builtins.int"


@pytest.mark.parametrize(
    ("version", "refused"), [("1.1.9", True), ("1.2.0", False), ("1.10", False), ("1.2.0rc1", False)]
)
def test_old_layer_packages(version: str, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """AP-03: an older asgi_redis is refused with what to do; others pass, and so does none."""

    def installed(name: str) -> str:
        if name == "asgi_redis":
            return version
        raise importlib.metadata.PackageNotFoundError(name)

    assert package_checks.required_versions["asgi_redis"] == "1.2.0"
    package_checks.check_all()  # none is here
    monkeypatch.setattr(importlib.metadata, "version", installed)
    if refused:
        with pytest.raises(RuntimeError, match=r"asgi_redis 1.1.9 is installed, which is older than 1.2.0; remove it"):
            package_checks.check_all()
    else:
        package_checks.check_all()
