"""Echo as a sync consumer of Channels 4."""

import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["channels"], DATABASES={}, ALLOWED_HOSTS=["*"], SECRET_KEY="benchmark")
django.setup()

from channels.generic.websocket import WebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402


class Echo(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data=text_data)


app = ProtocolTypeRouter({"websocket": Echo.as_asgi()})
