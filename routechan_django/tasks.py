"""Django's tasks on channels: ``ChannelBackend`` for the setting ``TASKS``, for Django 6.0 and later.

A task that is enqueued becomes a message, and whoever consumes the channels of the site runs it: a worker, or a server
that runs consumers itself. **Delivery is at most once**, as for every message: a task is lost where its worker is
killed while it runs, where Redis loses its data, where its channel stays full, and where nobody takes it within the
``expiry`` of its layer, a minute unless the layer says otherwise. Nothing is stored, so there are no results to ask
for. Work that must not be lost belongs to a backend with a database.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import django
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import get_random_string
from django.utils.module_loading import import_string
from django.utils.timezone import is_aware

from routechan import Channel, Message, names
from routechan.encoding import Content
from routechan.exceptions import (
    ConsumeLater,
    InvalidChannelLayerError,
    InvalidName,
    RoutingError,
    UnknownChannelLayer,
)
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.layers.base import LONGEST_DELAY, NOW
from routechan.routing import Route

from .asgi import channel_layers
from .conf.spelling import did_you_mean
from .testruns import in_test_run

HAS_TASKS = django.VERSION >= (6, 0)

if TYPE_CHECKING or HAS_TASKS:
    from django.tasks import TaskContext, TaskResult, TaskResultStatus, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskError
    from django.tasks.exceptions import InvalidTask
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json
else:  # nothing here is of use, but programs such as Celery import the module ``tasks`` of each app
    BaseTaskBackend = object

#: How the channels of queues begin, unless the option ``PREFIX`` says otherwise.
PREFIX = "tasks"

#: The keys of ``OPTIONS``.
OPTIONS = ("LAYER", "PREFIX", "ON_COMMIT", "IMMEDIATE")

#: What the message of a task says of its function, on which its route depends.
_ASYNC, _PLAIN = "async", "plain"


class ChannelBackend(BaseTaskBackend):
    """A backend of ``TASKS`` that sends tasks to channels, at most once. Lifetime: thread.

    The queue ``mail`` is the channel ``tasks.mail``. The routing of the layer has to name these channels, which
    ``task_routes`` does.

    Args:
        alias: Its alias in ``TASKS``.
        params: Its entry there. ``QUEUES`` names the queues. ``OPTIONS`` may have ``LAYER``, the alias of the channel
            layer; ``PREFIX``, how the names of channels begin; ``ON_COMMIT``, the ``on_commit`` of ``Channel.send``;
            ``IMMEDIATE``, whether ``enqueue`` runs the task itself: None for in test runs only.

    Raises:
        ImproperlyConfigured: There is no such option or value, or Django has no tasks.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = False
    supports_priority = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        require_tasks()
        super().__init__(alias, params)
        where = f"TASKS[{alias!r}]"
        for key in self.options:
            if key not in OPTIONS:
                raise ImproperlyConfigured(
                    f"{where}['OPTIONS'] has the unknown key {key!r}{did_you_mean(key, OPTIONS)}; expected "
                    f"{', '.join(OPTIONS)}"
                )
        for key in ("ON_COMMIT", "IMMEDIATE"):
            if self.options.get(key) not in (None, True, False):
                raise ImproperlyConfigured(
                    f"{where}['OPTIONS'][{key!r}] is {self.options[key]!r:.100}; expected True, False or None"
                )
        if not self.queues:
            raise ImproperlyConfigured(
                f"{where}['QUEUES'] is empty, which stands for any queue; name each, because each is a channel that "
                "workers have to know"
            )
        self.layer_alias: str = self.options.get("LAYER", DEFAULT_CHANNEL_LAYER)
        try:
            self.channels = {queue: names.check_group_name(self._channel(queue)) for queue in sorted(self.queues)}
        except InvalidName as error:  # those of groups have neither ``!`` nor ``?``
            raise ImproperlyConfigured(f"{where}: a queue cannot be a channel: {error}") from error

    def _channel(self, queue: str) -> str:
        return f"{self.options.get('PREFIX', PREFIX)}.{queue}"

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """The mistakes that ``manage.py check`` tells of: the layer is unknown, or has no routes for the queues.

        Args:
            **kwargs: What Django passes; unused.
        """
        where = f"TASKS[{self.alias!r}]"
        try:
            layer: Any = channel_layers[self.layer_alias]
        except UnknownChannelLayer as error:
            return [Error(f"{where}: {error}", id="routechan.E005")]
        except (InvalidChannelLayerError, RoutingError):  # which the checks of the layer tell of
            return []
        missing = sorted(set(self.channels.values()) - layer.router.channels)
        if not missing:
            return []
        return [
            Error(
                f"{where} sends to {', '.join(missing)}, which no route of the layer {self.layer_alias!r} takes.",
                hint="Write *task_routes() into its routing, from routechan_django.tasks.",
                id="routechan.E005",
            )
        ]

    def validate_task(self, task: Task[Any, Any]) -> None:
        """Refuse a ``task`` that this backend cannot run.

        Raises:
            InvalidTask: It has a priority, a queue that ``QUEUES`` does not name, or is to run in more than a year.
        """
        super().validate_task(task)
        if task.run_after is not None and _seconds_until(task.run_after) > LONGEST_DELAY:
            raise InvalidTask(
                f"run_after is {task.run_after}; a channel layer delays a message by at most {LONGEST_DELAY} seconds"
            )

    def enqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any, Any]:
        """Send ``task`` to the channel of its queue, as ``Channel.send`` does.

        Inside a consumer it is sent when that ends, and with ``ON_COMMIT`` when the transaction around is committed.
        Where it is sent at once, errors of the layer reach the caller.

        Args:
            task: The task.
            args: Its positional arguments, which JSON can carry.
            kwargs: Its keyword arguments.

        Returns:
            A result that stays ``READY``, because nothing comes back; in a test run, that of the task which has run.

        Raises:
            InvalidTask: This backend cannot run it, or a worker could not find it by its name.
            ChannelFull: Its channel takes no more.
            ChannelLayerUnavailable: The layer cannot be reached.
        """
        result = self._ready(task, args, kwargs)
        if self._is_immediate():
            task_enqueued.send(type(self), task_result=result)
            _run_here(result)
            return result
        channel, delay = self._destination(task)
        channel.send(_content(result), delay=delay, on_commit=self.options.get("ON_COMMIT"))
        task_enqueued.send(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any, Any]:
        """``enqueue`` for async code; ``task``, ``args`` and ``kwargs`` are the same.

        Returns:
            What ``enqueue`` returns.
        """
        if self._is_immediate():
            return await super().aenqueue(task, args, kwargs)
        result = self._ready(task, args, kwargs)
        channel, delay = self._destination(task)
        await channel.asend(_content(result), delay=delay, on_commit=self.options.get("ON_COMMIT"))
        await task_enqueued.asend(type(self), task_result=result)
        return result

    def _is_immediate(self) -> bool:
        chosen: bool | None = self.options.get("IMMEDIATE")
        return in_test_run() if chosen is None else chosen

    def _destination(self, task: Task[Any, Any]) -> tuple[Channel, float]:
        delay = NOW if task.run_after is None else max(_seconds_until(task.run_after), NOW)
        return Channel(self.channels[task.queue_name], self.layer_alias), delay

    def _ready(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any, Any]:
        self.validate_task(task)
        module = sys.modules.get(task.func.__module__)
        if not isinstance(getattr(module, task.func.__qualname__, None), Task):
            raise InvalidTask(
                f"A worker looks for the task under the name {task.module_path}, and that is no task; decorate the "
                "function with @task, and leave it the name"
            )
        return _result(self, task, get_random_string(32), args, kwargs, datetime.now(timezone.utc))


def task_routes(layer: str = DEFAULT_CHANNEL_LAYER) -> list[Route]:
    """The routes of the channels that the setting ``TASKS`` has on a layer, for the routing of that layer.

    Args:
        layer: The alias of the layer.

    Raises:
        ImproperlyConfigured: A mistake in ``TASKS``, or Django has no tasks.
    """
    require_tasks()
    backends = [backend for backend in task_backends.all() if isinstance(backend, ChannelBackend)]
    found = sorted({name for each in backends if each.layer_alias == layer for name in each.channels.values()})
    return [Route(found, run_async_task, kind=f"^{_ASYNC}$"), Route(found, run_task)] if found else []


def require_tasks() -> None:
    """Raise ``ImproperlyConfigured`` where Django has no tasks."""
    if not HAS_TASKS:
        raise ImproperlyConfigured(
            "routechan_django.tasks needs django.tasks, which Django has from 6.0 on; this is Django "
            f"{django.get_version()}. Send to a channel yourself: Channel(name).send(content)"
        )


def run_task(message: Message) -> None:
    """Run the plain task in ``message``: the consumer of the channels of queues."""
    with _attempt(message) as result:
        _finish(result, result.task.call(*_context(result), *result.args, **result.kwargs))


async def run_async_task(message: Message) -> None:
    """Run the ``async def`` task in ``message``, on the event loop."""
    with _attempt(message) as result:
        _finish(result, await result.task.acall(*_context(result), *result.args, **result.kwargs))


def _run_here(result: TaskResult[Any, Any]) -> None:
    """Run a task in the process that enqueues it; its error is in the result, as with Django's ``ImmediateBackend``."""
    try:
        with _running(result, "here"):
            _finish(result, result.task.call(*_context(result), *result.args, **result.kwargs))
    except Exception:  # the signal has told of it, and Django logs it
        return


@contextmanager
def _attempt(message: Message) -> Iterator[TaskResult[Any, Any]]:
    """A task that came in ``message``, while it runs; its error goes on, so that it is one of a consumer."""
    result = _read(message.content)
    layer = getattr(message.channel_layer, "layer", None)
    with _running(result, getattr(layer, "process", "")):
        yield result


@contextmanager
def _running(result: TaskResult[Any, Any], worker: str) -> Iterator[None]:
    """Tell the signals of Django of a task that runs, and of its end."""
    backend = type(result.task.get_backend())
    began = datetime.now(timezone.utc)
    _set(result, status=TaskResultStatus.RUNNING, started_at=began, last_attempted_at=began)
    result.worker_ids.append(worker)
    task_started.send(backend, task_result=result)
    try:
        yield
    except ConsumeLater:  # it is put back, and has not ended
        raise
    except BaseException as error:
        path = f"{type(error).__module__}.{type(error).__qualname__}"
        text = "".join(traceback.format_exception(error))
        result.errors.append(TaskError(exception_class_path=path, traceback=text))
        _set(result, status=TaskResultStatus.FAILED, finished_at=datetime.now(timezone.utc))
        task_finished.send(backend, task_result=result)
        raise
    _set(result, status=TaskResultStatus.SUCCESSFUL, finished_at=datetime.now(timezone.utc))
    task_finished.send(backend, task_result=result)


def _finish(result: TaskResult[Any, Any], value: Any) -> None:
    """Note what the task has returned; a ``TypeError`` where JSON cannot carry it, as with the backends of Django."""
    _set(result, _return_value=normalize_json(value))


def _context(result: TaskResult[Any, Any]) -> tuple[Any, ...]:
    return (TaskContext(task_result=result),) if result.task.takes_context else ()


def _set(result: TaskResult[Any, Any], **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)  # frozen for those who get it


# From a result to a message, and back


def _content(result: TaskResult[Any, Any]) -> Content:
    task = result.task
    return {
        "task": task.module_path,
        "kind": _ASYNC if iscoroutinefunction(task.func) else _PLAIN,
        "id": result.id,
        "args": result.args,
        "kwargs": result.kwargs,
        "backend": result.backend,
        "queue": task.queue_name,
        "enqueued_at": result.enqueued_at,
    }


def _read(content: Content) -> TaskResult[Any, Any]:
    """The task of a message, ready to run.

    Raises:
        ValueError: The message names no task, which may be so while old and new code are running.
    """
    try:
        named = content["task"]
        task = import_string(named)
        backend = task_backends[content["backend"]]
        arguments = content["id"], content["args"], content["kwargs"], content["enqueued_at"]
        queue = content["queue"]
    except (KeyError, ImportError, TypeError, AttributeError) as error:
        raise ValueError(f"this message is of no task that is known here: {content!r:.200}") from error
    if not isinstance(task, Task):  # whoever can send to the channel may name a function of any module
        raise ValueError(f"{named!r:.100} is no task; the message is {content!r:.200}")
    return _result(backend, task.using(backend=content["backend"], queue_name=queue), *arguments)


def _result(
    backend: Any, task: Task[Any, Any], number: str, args: Any, kwargs: Any, enqueued_at: datetime
) -> TaskResult[Any, Any]:
    return TaskResult(
        task=task,
        id=number,
        status=TaskResultStatus.READY,  # type: ignore[arg-type]
        enqueued_at=enqueued_at,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=list(args),
        kwargs=dict(kwargs),
        backend=backend.alias,
        errors=[],
        worker_ids=[],
    )


def _seconds_until(moment: datetime) -> float:
    now = datetime.now(timezone.utc) if is_aware(moment) else datetime.now()  # naive where USE_TZ is False: local time
    return (moment - now).total_seconds()
