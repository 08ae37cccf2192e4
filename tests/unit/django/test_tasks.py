"""``ChannelBackend``: Django's tasks as messages on channels."""

from __future__ import annotations

import datetime
import importlib
import logging
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from routechan.exceptions import ChannelFull, ConsumeLater
from routechan.layers import channel_layers
from routechan_django import tasks
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import Client, apply_routes
from tests.documents import ROOT, blocks
from tests.unit.django.helpers import connected
from tests.unit.helpers import drain

HAS_TASKS = django.VERSION >= (6, 0)
if HAS_TASKS:
    from django.tasks.checks import check_tasks
    from django.tasks.exceptions import InvalidTask
    from django.tasks.signals import task_enqueued, task_finished, task_started

needs_tasks = pytest.mark.skipif(not HAS_TASKS, reason="Django has tasks from 6.0 on")

BACKEND = "routechan_django.tasks.ChannelBackend"


def setting(**options: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"], "OPTIONS": options}}


@pytest.fixture
def jobs() -> Iterator[Any]:
    """The tasks of the tests, which are sent as they are outside of test runs."""
    with override_settings(TASKS=setting(IMMEDIATE=False)):
        jobs = importlib.import_module("tests.unit.django.jobs")  # which needs the setting
        jobs.done.clear()
        yield jobs


@pytest.fixture
def routed(jobs: Any, layer: ChannelLayerWrapper) -> Iterator[ChannelLayerWrapper]:
    """The layer, with the routes of tasks."""
    with apply_routes(tasks.task_routes()):
        yield layer


def consume(channel: str = "tasks.default") -> None:
    Client().consume(channel)


@pytest.mark.skipif(HAS_TASKS, reason="this Django has tasks")
def test_without_tasks_in_django() -> None:
    """The module can be imported, as programs that look for tasks do; using it says what is missing."""
    for use in (tasks.task_routes, lambda: tasks.ChannelBackend("default", {})):
        with pytest.raises(ImproperlyConfigured, match=r"needs django.tasks, which Django has from 6.0 on; this is"):
            use()


@needs_tasks
def test_a_task_is_run_by_whoever_consumes_its_channel(routed: ChannelLayerWrapper, jobs: Any) -> None:
    """It is not run by the caller; its arguments arrive as JSON has them."""
    result = jobs.note.enqueue(1, "two", three=(3,))
    assert (result.status, result.is_finished, jobs.done) == ("READY", False, [])
    assert result.enqueued_at is not None
    consume()
    assert jobs.done == [((1, "two"), {"three": [3]})]


@needs_tasks
async def test_from_async_code(routed: ChannelLayerWrapper, jobs: Any) -> None:
    """``aenqueue`` sends, and an ``async def`` task runs on the event loop."""
    await jobs.anote.aenqueue("hello")
    assert jobs.done == []
    await Client().aconsume("tasks.default")
    assert jobs.done == ["hello"]
    assert Client().get_consumer_by_channel("tasks.default") is tasks.run_task


@needs_tasks
def test_queues_are_channels(routed: ChannelLayerWrapper, jobs: Any) -> None:
    """A task knows its result from the context; ``using`` chooses another queue."""
    sent = [jobs.describe.enqueue("a"), jobs.describe.using(queue_name="default").enqueue("b")]
    consume("tasks.mail")
    consume("tasks.default")
    assert jobs.done == [
        ("a", sent[0].id, "RUNNING", 1, "mail"),
        ("b", sent[1].id, "RUNNING", 1, "default"),
    ]


@needs_tasks
def test_run_after(routed: ChannelLayerWrapper, jobs: Any) -> None:
    """The layer keeps the task until then, and no longer than it can; what is past is sent at once."""
    jobs.note.using(run_after=timezone.now() + datetime.timedelta(minutes=1)).enqueue("later")
    assert drain(routed, "tasks.default") == []
    jobs.note.using(run_after=timezone.now() - datetime.timedelta(minutes=1)).enqueue("now")
    assert [content["args"] for content in drain(routed, "tasks.default")] == [["now"]]
    with pytest.raises(InvalidTask, match="a channel layer delays a message by at most"):
        jobs.note.using(run_after=timezone.now() + datetime.timedelta(days=400))


@needs_tasks
@pytest.mark.parametrize("name", ["fail", "later"])
def test_an_error_is_one_of_a_consumer(
    routed: ChannelLayerWrapper, jobs: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The signals of Django tell of it too; a task that raises ``ConsumeLater`` is put back, and has not ended."""
    told: list[tuple[str, Any]] = []

    def receiver(signal: Any, task_result: Any, **kwargs: Any) -> None:
        told.append((by_signal[signal], task_result.status))

    by_signal = {task_enqueued: "enqueued", task_started: "started", task_finished: "finished"}
    with connected(receiver, *by_signal):
        if name == "fail":
            jobs.fail.enqueue("x")
            with pytest.raises(ZeroDivisionError):
                consume()
            assert told == [("enqueued", "READY"), ("started", "RUNNING"), ("finished", "FAILED")]
        else:
            jobs.later.enqueue()
            Client().consume("tasks.default")
            assert told == [("enqueued", "READY"), ("started", "RUNNING")]
            assert [content["task"] for content in drain(routed, "tasks.default")] == [jobs.later.module_path]
    assert ConsumeLater.__name__ not in caplog.text


@needs_tasks
def test_on_commit(routed: ChannelLayerWrapper, jobs: Any) -> None:
    """With the option, or ``SEND_ON_COMMIT``, a task is sent when the transaction is committed, else at once."""
    for options, routechan, expected in (
        ({}, {}, 1),
        ({"ON_COMMIT": True}, {}, 0),
        ({}, {"SEND_ON_COMMIT": True}, 0),
        ({"ON_COMMIT": False}, {"SEND_ON_COMMIT": True}, 1),
    ):
        with override_settings(TASKS=setting(IMMEDIATE=False, **options), ROUTECHAN=routechan):
            with transaction.atomic():
                jobs.note.enqueue("sent")
                inside = len(drain(routed, "tasks.default"))
            assert (inside, len(drain(routed, "tasks.default"))) == (expected, 1 - expected), options


@needs_tasks
def test_a_full_channel(routed: ChannelLayerWrapper, jobs: Any) -> None:
    """The caller is told that the task was not sent."""
    for _ in range(routed.capacity):
        jobs.note.enqueue()
    with pytest.raises(ChannelFull):
        jobs.note.enqueue()


@needs_tasks
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"task": "os.system", "kind": "plain"}, "'os.system' is no task"),
        ({"task": "no.such.task", "kind": "plain"}, "of no task that is known here"),
        ({"text": "hello"}, "of no task that is known here"),
        ({"task": ["a"], "kind": "plain"}, "of no task that is known here"),
    ],
)
def test_messages_that_are_no_tasks(routed: ChannelLayerWrapper, content: dict[str, Any], expected: str) -> None:
    """Who can send to the channel can have tasks run, and no other function."""
    message = {"id": "1", "args": ["true"], "kwargs": {}, "backend": "default", "queue": "default", "enqueued_at": None}
    with pytest.raises(ValueError, match=expected):
        Client().send_and_consume("tasks.default", {**message, **content})


@needs_tasks
def test_a_task_that_a_worker_could_not_find(routed: ChannelLayerWrapper, jobs: Any) -> None:
    """It is refused where it is enqueued, because that is where the mistake is."""
    with pytest.raises(InvalidTask, match="under the name tests.unit.django.jobs.plain, and that is no task"):
        jobs.renamed.enqueue("x")


@needs_tasks
def test_in_test_runs(layer: ChannelLayerWrapper, jobs: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A task runs within ``enqueue``, where nobody would consume it; its error is in the result, and logged."""
    caplog.set_level(logging.ERROR, "django.tasks")
    with override_settings(TASKS=setting()):
        result = jobs.note.using(run_after=timezone.now() + datetime.timedelta(days=1)).enqueue("at once")
        assert (result.status, result.return_value, jobs.done) == ("SUCCESSFUL", 1, [(("at once",), {})])
        failed = jobs.fail.enqueue("x")
        assert failed.status == "FAILED"
        assert failed.errors[0].exception_class is ZeroDivisionError
        assert jobs.anote.enqueue("async").return_value == "async"
    assert drain(layer, "tasks.default") == []
    assert "ZeroDivisionError" in caplog.text


@needs_tasks
async def test_in_test_runs_of_async_code(layer: ChannelLayerWrapper, jobs: Any) -> None:
    """``aenqueue`` is the same."""
    with override_settings(TASKS=setting()):
        assert (await jobs.anote.aenqueue("async")).return_value == "async"
        assert (await jobs.note.aenqueue(1)).return_value == 1


@needs_tasks
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"OPTIONS": {"LAYRE": "x"}}, r"unknown key 'LAYRE' \(did you mean 'LAYER'\?\); expected LAYER, PREFIX"),
        ({"OPTIONS": {"ON_COMMIT": "yes"}}, r"\['ON_COMMIT'\] is 'yes'; expected True, False or None"),
        ({"QUEUES": []}, r"\['QUEUES'\] is empty, which stands for any queue; name each"),
        ({"QUEUES": ["über"]}, "a queue cannot be a channel: .* 'tasks.über'"),
        ({"QUEUES": ["a!b"]}, "a queue cannot be a channel"),
    ],
)
def test_mistakes_in_the_setting(entry: dict[str, Any], expected: str) -> None:
    """They are named, with what would be right."""
    with pytest.raises(ImproperlyConfigured, match=expected):
        tasks.ChannelBackend("default", {"BACKEND": BACKEND, **entry})


@needs_tasks
def test_supported_features(jobs: Any, layer: ChannelLayerWrapper) -> None:
    """What a channel cannot do is refused by Django's own words, and results are none."""
    with pytest.raises(InvalidTask, match="does not support setting priority"):
        jobs.note.using(priority=5)
    with pytest.raises(InvalidTask, match="Queue 'other' is not valid"):
        jobs.note.using(queue_name="other")
    with pytest.raises(NotImplementedError, match="does not support retrieving"):
        jobs.note.get_result("1")


@needs_tasks
def test_checks(jobs: Any, layer: ChannelLayerWrapper) -> None:
    """A routing without the routes of tasks, and an unknown layer, are errors of ``manage.py check``."""
    [found] = check_tasks()
    assert "TASKS['default'] sends to tasks.default, tasks.mail, which no route" in found.msg
    assert found.hint == "Write *task_routes() into its routing, from routechan_django.tasks."
    with apply_routes(tasks.task_routes()):
        assert list(check_tasks()) == []
    with override_settings(TASKS=setting(LAYER="nonesuch")):
        [found] = check_tasks()
        assert "nonesuch" in found.msg
        assert tasks.task_routes("default") == []


@needs_tasks
def test_a_mistake_in_the_routing_is_left_to_its_check(jobs: Any) -> None:
    """``manage.py check`` prints all mistakes, and ends with none of them."""
    wrong = {"default": {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": "no.such.routing"}}
    with override_settings(CHANNEL_LAYERS=wrong):
        previous = channel_layers.set("default", None)
        assert list(check_tasks()) == []
        channel_layers.set("default", previous)


@needs_tasks
def test_the_document(layer: ChannelLayerWrapper) -> None:
    """The code in docs/tasks.rst runs."""
    names: dict[str, Any] = {"__name__": "tests.unit.django.document"}
    found = blocks(ROOT / "docs" / "tasks.rst", "python")
    assert len(found) > 3
    with override_settings(TASKS=setting(IMMEDIATE=False)):
        for block in found:
            exec(compile(block, "docs/tasks.rst", "exec"), names)
