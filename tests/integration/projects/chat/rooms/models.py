import json

from channels import Group
from django.db import models


class Room(models.Model):
    title = models.CharField(max_length=100)
    staff_only = models.BooleanField(default=False)

    def __str__(self):
        return self.title

    @property
    def websocket_group(self):
        """A new Group for each call (UE-07)."""
        return Group("room-%s" % self.id)

    def say(self, user, text):
        self._send({"username": user.username, "message": text})

    def announce(self, user, what):
        self._send({"username": user.username, "event": what})

    def _send(self, content):
        self.websocket_group.send({"text": json.dumps({"room": self.id, **content})})
