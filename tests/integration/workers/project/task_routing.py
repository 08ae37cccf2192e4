"""Tasks of the project, and the routes to them."""

from __future__ import annotations

import os

from django.tasks import task

from routechan_django.tasks import task_routes


@task
def write(text: str) -> None:
    with open(os.environ["TICKS"], "a") as ticks:
        ticks.write(f"{text} by {os.getpid()}\n")


@task
async def awrite(text: str) -> None:
    write.call(text)


@task
def fail() -> None:
    raise ZeroDivisionError("a task")


channel_routing = task_routes()
