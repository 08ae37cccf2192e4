"""A notice: a text that everybody gets."""

# To pyright the fields of a model have no types.
# pyright: basic

from __future__ import annotations

from typing import Any

from django.db import models

MAX_TEXT = 200


class Notice(models.Model):
    text = models.CharField(max_length=MAX_TEXT)
    published = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.text

    def shown(self) -> dict[str, Any]:
        """What a page shows of it."""
        return {"id": self.pk, "text": self.text}


def latest(count: int) -> list[dict[str, Any]]:
    """The newest notices as pages show them, the newest of all first."""
    return [notice.shown() for notice in Notice.objects.order_by("-pk")[:count]]
