"""The ASGI application of ``settings``, as in an ``asgi.py`` of 1.x."""

from __future__ import annotations

import os

from routechan_django.asgi import get_channel_layer

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.unit.django.processes.settings"

channel_layer = get_channel_layer()
