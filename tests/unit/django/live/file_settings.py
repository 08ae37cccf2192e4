"""The settings of the tests, with a database in a file and connections that would stay open."""

import tempfile
from pathlib import Path

from ..settings import *  # noqa: F403

_FOLDER = Path(tempfile.mkdtemp())
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _FOLDER / "database.sqlite3",
        "TEST": {"NAME": _FOLDER / "test.sqlite3"},
        "CONN_MAX_AGE": None,
        "OPTIONS": {"timeout": 20},
    }
}
