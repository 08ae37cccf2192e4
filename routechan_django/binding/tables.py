"""Which models write the rows of a model, and what they write of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Model


def writers_of(model: type[Model]) -> Iterator[type[Model]]:
    """``model``, its proxies, and the models that inherit from it: what is saved through these is a row of it."""
    yield model
    for child in model.__subclasses__():
        yield from writers_of(child)


def same_table(one: type[Model], other: type[Model]) -> bool:
    """Whether the rows of ``one`` and ``other`` are in one table, as those of a model and its proxies."""
    return one._meta.concrete_model is other._meta.concrete_model


def key_in(model: type[Model], instance: Any) -> Any:
    """The primary key of the row of ``instance`` in the table of ``model``, its class or a parent of it; or None."""
    key = getattr(instance, model._meta.pk.attname)
    if key is None:
        link = instance._meta.get_ancestor_link(model)  # as Django: one of both may be set
        key = None if link is None else getattr(instance, link.attname)
    return None if isinstance(key, tuple) and None in key else key


def may_exist(model: type[Model], instance: Any, raw: bool) -> bool:
    """Whether a save of ``instance``, perhaps a ``raw`` one, may find its row in the table of ``model`` there."""
    if not instance._state.adding:
        return True
    if key_in(model, instance) is None:
        return False
    pk: Any = model._meta.pk
    return raw or not (pk.has_default() or getattr(pk, "has_db_default", bool)())  # Django too takes it for new


def saves_row(model: type[Model], instance: Any, signal: dict[str, Any]) -> bool:
    """Whether a save of ``instance`` writes into the table of ``model``, its class or a parent of it.

    Args:
        model: The model.
        instance: The instance.
        signal: What the signal carries: ``raw`` saves write no parents, ``update_fields`` may name none of theirs.
    """
    if same_table(model, type(instance)):
        return True
    names = signal.get("update_fields")
    fields = model._meta.concrete_fields
    return not signal.get("raw") and (
        names is None or any(field.name in names or field.attname in names for field in fields)
    )
