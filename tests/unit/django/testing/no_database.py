"""The settings of the tests, with sessions that need no database."""

from ..settings import *  # noqa: F403

SESSION_ENGINE = "django.contrib.sessions.backends.cache"
