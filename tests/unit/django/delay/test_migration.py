"""The table: made where there is none, taken over where 1.x has made it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.processes import ROOT

#: As Channels 1.1.8 made it, on Django 1.11.
OLD_TABLE = """
CREATE TABLE "channels.delay_delayedmessage" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "due_date" datetime NOT NULL,
    "channel_name" varchar(512) NOT NULL, "content" text NOT NULL);
CREATE INDEX "channels.delay_delayedmessage_due_date_1b5ed8d4" ON "channels.delay_delayedmessage" ("due_date");
CREATE TABLE "django_migrations" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL,
    "applied" datetime NOT NULL);
INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ('channels.delay', '0001_initial', '2017-09-15');
INSERT INTO "channels.delay_delayedmessage" ("due_date", "channel_name", "content")
    VALUES ('2017-09-15 12:00:00', 'test', '{"from": "1.x"}');
"""

PROJECT = """
import sys, django
from django.conf import settings
from django.core.management import call_command
settings.configure(
    INSTALLED_APPS=["routechan_django.delay"], USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
)
django.setup()
from routechan_django.delay.models import DelayedMessage
call_command("migrate", verbosity=0)
DelayedMessage(channel_name="test", content="{}", delay=0).save()
print([message.content for message in DelayedMessage.objects.is_due()])
if "unapply" in sys.argv:
    call_command("migrate", "routechan_delay", "zero", verbosity=0)
"""


def project(database: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", PROJECT, str(database), *arguments]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_table_of_1x_carries_on(tmp_path: Path) -> None:
    """DL-01, DL-03: ``migrate`` leaves the old table as it is; what waits in it is due."""
    database = sqlite3.connect(tmp_path / "db")
    database.executescript(OLD_TABLE)
    database.close()
    assert project(tmp_path / "db") == """['{"from": "1.x"}', '{}']"""


def test_a_new_table(tmp_path: Path) -> None:
    """DL-03: in a new project it is made, under the name it has always had, and removed again when asked."""
    assert project(tmp_path / "db", "unapply") == "['{}']"
    database = sqlite3.connect(tmp_path / "db")
    assert "channels.delay_delayedmessage" not in database.execute("SELECT name FROM sqlite_master").fetchall()
    database.close()


def test_nothing_to_migrate() -> None:
    """DL-03, PL-14: the migration is what the model says, whatever ``DEFAULT_AUTO_FIELD`` is."""
    try:
        call_command("makemigrations", "routechan_delay", check=True, dry_run=True, stdout=(said := StringIO()))
    except SystemExit:
        pytest.fail(said.getvalue())
