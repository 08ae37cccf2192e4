"""Tasks of the tests; what they did is in ``done``."""

from __future__ import annotations

from typing import Any

from django.tasks import TaskContext, task

from routechan import Group
from routechan.exceptions import ConsumeLater

done: list[Any] = []


@task
def note(*args: Any, **kwargs: Any) -> int:
    done.append((args, kwargs))
    return len(args)


@task
async def anote(text: str) -> str:
    done.append(text)
    return text


@task(queue_name="mail", takes_context=True)
def describe(context: TaskContext, text: str) -> None:
    result = context.task_result
    done.append((text, result.id, result.status, context.attempt, result.task.queue_name))


@task
def fail(text: str) -> None:
    raise ZeroDivisionError(text)


@task
def later() -> None:
    raise ConsumeLater


@task
def tell(group: str) -> None:
    Group(group).send({"text": "told by a task"})


def plain(text: str) -> None:
    done.append(text)


renamed = task(plain)
