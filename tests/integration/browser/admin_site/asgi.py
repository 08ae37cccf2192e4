"""What the ASGI server serves."""

from routechan_django.asgi import get_asgi_application

application = get_asgi_application()
