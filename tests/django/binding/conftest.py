"""Bindings that end with their test, and database changes too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from routechan_django.binding.base import BindingMetaclass


@pytest.fixture(autouse=True)
def rolled_back(database: None) -> Iterator[None]:
    """What a test writes is undone."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def declared() -> Iterator[list[type]]:
    """The bindings that a test declares; they listen to no signal afterwards."""
    before = list(BindingMetaclass.binding_classes)
    yield BindingMetaclass.binding_classes
    for binding in BindingMetaclass.binding_classes:
        if binding not in before:
            for signal, name in [
                (pre_save, "pre_save_receiver"),
                (post_save, "post_save_receiver"),
                (pre_delete, "pre_delete_receiver"),
                (post_delete, "post_delete_receiver"),
            ]:
                for model in (binding.model,) if binding.model is not None else ():
                    if not isinstance(model, str):
                        signal.disconnect(getattr(binding, name), sender=model)
    BindingMetaclass.binding_classes[:] = before
