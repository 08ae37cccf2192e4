"""Presence: one row for each open socket of a logged-in user."""

# To pyright the fields of a model have no types.
# pyright: basic

from __future__ import annotations

from django.conf import settings
from django.db import models


class Presence(models.Model):
    room = models.CharField(max_length=80, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    reply_channel = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return f"{self.user} in {self.room}"
