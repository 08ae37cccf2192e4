"""The settings of the demo, with the app of the tutorial, which ``python -m tests.documents`` writes."""

# pyright: basic

from demo_site.settings import *  # noqa: F403
from demo_site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "rooms"]
