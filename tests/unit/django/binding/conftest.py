"""Bindings that end with their test, and database changes too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from routechan import Group
from routechan_django.binding.base import BindingMetaclass
from routechan_django.binding.tables import writers_of
from routechan_django.commits import tests_transactions_ignored
from routechan_django.layer import ChannelLayerWrapper

from .helpers import Sent


@pytest.fixture(autouse=True)
def rolled_back(database: None) -> Iterator[None]:
    """What a test writes is undone, as in a ``TestCase``."""
    block: Any = transaction.atomic()
    block._from_testcase = True
    with block, tests_transactions_ignored():
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
                for model in binding.bound_models:
                    for sender in writers_of(model):
                        signal.disconnect(getattr(binding, name), sender=sender)
    BindingMetaclass.binding_classes[:] = before


@pytest.fixture
def sent(layer: ChannelLayerWrapper) -> Sent:
    """``sent("group")``: the payloads that a member of the group has got; it becomes one on the first call."""

    def payloads(group: str = "all") -> list[dict[str, Any]]:
        member = f"member.of.{group}"
        Group(group).add(member)
        found = []
        while (content := layer.receive([member])[1]) is not None:
            decoded = json.loads(content["text"])
            assert list(decoded) == ["stream", "payload"]
            found.append(decoded["payload"])
        return found

    return payloads
