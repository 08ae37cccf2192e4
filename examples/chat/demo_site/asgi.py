"""For any ASGI server: ``uvicorn --app-dir examples/chat demo_site.asgi:application``."""

from __future__ import annotations

import os

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

from routechan_django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_site.settings")

application = get_asgi_application()
if settings.DEBUG:  # elsewhere the web server in front does this
    application = ASGIStaticFilesHandler(application)  # type: ignore[arg-type]  # takes any ASGI application
