"""What the tests bind."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models


class Shelf(models.Model):
    label = models.CharField(max_length=50)


class Tag(models.Model):
    word = models.CharField(max_length=50)


class Book(models.Model):
    """On a shelf, with tags, seen by the readers of its team."""

    title = models.CharField(max_length=50)
    team = models.CharField(max_length=50, default="red")
    secret = models.CharField(max_length=50, default="")
    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True)
    tags = models.ManyToManyField(Tag)
    added = models.DateTimeField(auto_now_add=True)

    #: How often ``save`` was called, on any instance.
    saves: ClassVar[list[str]] = []

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.saves.append(self.title)
        super().save(*args, **kwargs)

    @property
    def loud(self) -> str:
        return self.title.upper()

    def length(self) -> int:
        return len(self.title)


class Paperback(Book):
    """A child with a table of its own."""

    weight = models.IntegerField(default=0)


class Bestseller(Book):
    """The same table under another name."""

    class Meta:
        proxy = True


class Ticket(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = models.CharField(max_length=50)
