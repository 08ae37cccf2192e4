"""The stored row of an instance that is being saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model
from django.utils.functional import SimpleLazyObject

from .tables import key_in


class RowGone(Exception):
    """The database has no such row."""


class StoredRow:
    """The row of an instance in the database, read on first use. Lifetime: one save.

    Args:
        model: The model of the row: the class of the instance, or a parent of it.
        instance: The instance that is being saved.
        using: The database alias that the signal names, or None for the default one.
    """

    def __init__(self, model: type[Model], instance: Any, using: str | None) -> None:
        self._rows = model._base_manager.using(using or DEFAULT_DB_ALIAS)
        self._pk = key_in(model, instance)
        #: Whether the instance said before the save that it was new.
        self.adding = instance._state.adding

    def names(self, group_names: Callable[[Any], Iterable[str]]) -> set[str]:
        """The names of the row's groups; none if there is no row.

        Args:
            group_names: ``Binding.group_names``. One that does not look at its argument costs no query.
        """
        try:
            return set(group_names(SimpleLazyObject(self._read)))
        except RowGone:
            return set()

    @functools.cached_property
    def exists(self) -> bool:
        """Whether there is such a row, or was when this was first asked."""
        return self.instance is not None or self._rows.filter(pk=self._pk).exists()

    @property
    def instance(self) -> Any:
        """The row as an instance, if ``names`` has read it; else None."""
        return self.__dict__.get("_instance")

    @functools.cached_property
    def _instance(self) -> Any:
        row = self._rows.filter(pk=self._pk).first()
        if row is None:
            raise RowGone
        return row

    def _read(self) -> Any:
        return self._instance
