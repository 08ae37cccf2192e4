"""What is told of a notice, wherever it is saved: in a view, in the admin, in a shell."""

from __future__ import annotations

import json
from typing import Any

from django.db.models.signals import post_save

from routechan import Group

from .models import Notice

GROUP = "feed"


def connect() -> None:
    """Tell of each notice from now on."""
    post_save.connect(tell, sender=Notice)


def tell(instance: Notice, created: bool, **kwargs: Any) -> None:
    """Send a new notice to every page, when its transaction is committed; nothing if it is rolled back."""
    if created:
        Group(GROUP).send({"text": json.dumps(instance.shown())}, on_commit=True)
