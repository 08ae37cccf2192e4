"""A model's row as the database has it, beside the instance that is being saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.utils.functional import SimpleLazyObject


class RowGone(Exception):
    """There is no such row."""


class StoredRow:
    """The row of ``instance``, read when something of it is first looked at. Lifetime: one save."""

    def __init__(self, instance: Any, using: str | None) -> None:
        self._rows = type(instance)._base_manager.using(using or DEFAULT_DB_ALIAS)
        self._pk = instance.pk

    def names(self, group_names: Callable[[Any], Iterable[str]]) -> set[str]:
        """The groups of the row, none if there is no row. Rules that do not look at it cost no query."""
        try:
            return set(group_names(SimpleLazyObject(self._read)))
        except RowGone:
            return set()

    @property
    def instance(self) -> Any:
        """The row as an instance if ``names`` has read it, else None."""
        return self.__dict__.get("_instance")

    @functools.cached_property
    def _instance(self) -> Any:
        row = self._rows.filter(pk=self._pk).first()
        if row is None:
            raise RowGone
        return row

    def _read(self) -> Any:
        return self._instance
