"""Primary keys that clients send, read as the database has them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, router

#: The keys that an integer column can hold at most, on each database.
_INTEGERS = range(-(2**63), 2**63)


def read_key(model: type[models.Model], value: Any) -> Any:
    """The key that ``value`` of a client names, of the type and with the value that the database has.

    Whoever is asked about a row compares its key. A database finds the row of the key 1 for ``"1"`` and for 1.9 too,
    and with some collations that of ``"anna"`` for ``"ANNA"``: so there is one value for each row.

    Args:
        model: The model of the row. For a key that is no integer and no UUID it is asked for the stored value.
        value: What the client sent: for a key of several fields a list, else a number or a text.

    Returns:
        The key; None for None.

    Raises:
        ValueError: ``value`` is no key of this model.
    """
    if value is None:
        return None
    pk: Any = model._meta.pk
    fields = [_target(field) for field in getattr(model._meta, "pk_fields", [pk])]
    several = len(fields) > 1
    if several and not (isinstance(value, (list, tuple)) and len(value) == len(fields)):
        raise _no_key(model, value, f"a list of {len(fields)} values")
    values = [_read(model, field, each) for field, each in zip(fields, value if several else [value], strict=True)]
    key = tuple(values) if several else values[0]
    if all(isinstance(field, (models.IntegerField, models.UUIDField)) for field in fields):
        return key
    rows = model._base_manager.using(router.db_for_write(model))
    stored = rows.filter(pk=key).values_list("pk", flat=True).first()
    return key if stored is None else stored


def _target(field: Any) -> Any:
    """The field whose values ``field`` holds: of a foreign key, or the link of a child, that of the other model."""
    while field.remote_field is not None:
        field = field.target_field
    return field


def _read(model: type[models.Model], field: Any, value: Any) -> Any:
    try:
        if value is None or isinstance(value, (bool, list, tuple, dict)):
            raise TypeError
        if isinstance(value, float) and not isinstance(field, models.FloatField):
            raise TypeError
        if isinstance(value, str) and "\0" in value:
            raise ValueError
        key = field.to_python(value)
        if isinstance(key, str):
            key.encode()  # half a surrogate pair is no character
        if isinstance(key, (float, Decimal)) and not math.isfinite(key):
            raise ValueError
        if isinstance(field, models.IntegerField) and key not in _INTEGERS:
            raise ValueError
    except (ValidationError, ValueError, TypeError, ArithmeticError) as error:
        raise _no_key(model, value, f"a value of {type(field).__name__}") from error
    return key


def _no_key(model: type[models.Model], value: Any, expected: str) -> ValueError:
    return ValueError(f"{value!r:.100} is no key of {model._meta.label}: pk is {expected}")
