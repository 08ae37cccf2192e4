"""The ASGI application of ``handler_settings``, as in an ``asgi.py`` of 1.x."""

from __future__ import annotations

import os

from routechan_django.asgi import get_channel_layer

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.handler_settings"

channel_layer = get_channel_layer()
