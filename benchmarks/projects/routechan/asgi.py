"""What uvicorn serves."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from routechan_django.asgi import get_asgi_application  # noqa: E402

application = get_asgi_application()
