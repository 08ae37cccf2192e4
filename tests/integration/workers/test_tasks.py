"""Django's tasks, enqueued by one process and run by another."""

from __future__ import annotations

from pathlib import Path

import django
import pytest

from tests.waiting import until

from .fleet import Fleet

ENQUEUE = """
import django
django.setup()
from tests.integration.workers.project.task_routing import awrite, fail, write
fail.enqueue()
write.enqueue("plain")
awrite.enqueue("async")
"""


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has tasks from 6.0 on")
async def test_tasks_run_in_a_worker(redis_url: str, tmp_path: Path) -> None:
    """Each once; one that fails is logged as a consumer, and its worker goes on."""
    settings = "tests.integration.workers.project.task_settings"
    environment = {"SESSIONS": str(tmp_path), "DJANGO_SETTINGS_MODULE": settings}
    worker = ("-m", "django", "runworker")
    with Fleet(redis_url, servers=0, workers=1, environment=environment, worker=worker) as fleet:
        fleet.run("-c", ENQUEUE)
        written = Path(fleet.environment["TICKS"])
        await until(lambda: written.exists() and len(written.read_text().splitlines()) == 2, "both have run")
        pid = fleet.workers[0].process.pid
        assert sorted(written.read_text().splitlines()) == [f"async by {pid}", f"plain by {pid}"]
        await until(lambda: "routechan_django.tasks.run_task" in fleet.workers[0].output, "the error is logged")
        assert fleet.workers[0].output.count("ZeroDivisionError: a task") >= 1
