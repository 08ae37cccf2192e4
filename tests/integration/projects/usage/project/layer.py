"""A layer of the project's own: a subclass in settings."""

import asgi_redis


class MarkingLayer(asgi_redis.RedisChannelLayer):
    """Marks what is sent to ``marked.*``, and keeps the names it sent to."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.sent = []

    def send(self, channel, message):
        self.sent.append(channel)
        if channel.startswith("marked."):
            message = dict(message, marked=True)
        super().send(channel, message)
