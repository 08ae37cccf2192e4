"""What the tests bind."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import django
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


class Pocketbook(Paperback):
    """A child of a child."""

    size = models.CharField(max_length=50, default="")
    shops = models.ManyToManyField(Shelf)


class Pocketseller(Pocketbook):
    """The same table as its parent."""

    class Meta:
        proxy = True


class Named(models.Model):
    """What others inherit without a table."""

    name = models.CharField(max_length=50)

    class Meta:
        abstract = True


class Code(Named):
    """A key that people choose."""

    code = models.CharField(max_length=10, primary_key=True)


class Ticket(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = models.CharField(max_length=50)


# Keys of other kinds


class Word(models.Model):
    key = models.CharField(max_length=20, primary_key=True, db_collation="NOCASE")


class Measure(models.Model):
    key = models.FloatField(primary_key=True)


class Price(models.Model):
    key = models.DecimalField(primary_key=True, max_digits=5, decimal_places=2)


class Day(models.Model):
    key = models.DateField(primary_key=True)


class Note(models.Model):
    owner = models.OneToOneField(Measure, models.CASCADE, primary_key=True)


if django.VERSION >= (5, 2):

    class Seat(models.Model):
        pk = models.CompositePrimaryKey("row", "letter")
        row = models.IntegerField()
        letter = models.CharField(max_length=20, db_collation="NOCASE")
        text = models.CharField(max_length=20, default="")
