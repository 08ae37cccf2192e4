"""Bindings in the test cases of Django, whose transactions never commit."""

from __future__ import annotations

import unittest

import pytest
from django.db import transaction
from django.test import TestCase

from routechan import Group
from routechan.layers import channel_layers
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import ChannelTestCase, WSClient
from tests.unit.django.binding.conftest import declared
from tests.unit.django.binding.helpers import bind
from tests.unit.django.binding.models import Book, Paperback
from tests.unit.django.binding.test_commit import undone

__all__ = ["declared"]


class Told(unittest.TestCase):
    def told(self) -> list[str]:
        Group("case").add("case")
        found = []
        while (content := channel_layers["default"].receive(["case"])[1]) is not None:
            found.append(content["text"])
        return found

    def setUp(self) -> None:
        bind(group_names=classmethod(lambda cls, instance: ["case"]))
        self.told()


class Captured(Told, TestCase):
    __test__ = False

    def test_captured(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            Book.objects.create(title="a")
            with undone():
                Book.objects.create(title="undone")
            assert self.told() == []
        assert len(callbacks) == len(self.told()) == 1

    def test_client(self) -> None:
        """A client asks for what was told before it joined, and for what has been committed since, as it reads."""
        client = WSClient()
        Book.objects.create(title="too early").delete()
        client.join_group("case")
        Book.objects.create(title="a")
        with undone():
            Book.objects.create(title="undone")
        assert client.receive()["payload"]["data"] == {"title": "a"}
        assert client.receive() is None


class AtOnce(Told, ChannelTestCase):
    __test__ = False

    def test_at_once(self) -> None:
        Paperback.objects.create(title="a").delete()
        assert len(self.told()) == 2
        Book.objects.create(title="a").delete()
        assert len(self.told()) == 2
        with undone():
            Book.objects.create(title="undone")
        with transaction.atomic():
            Book.objects.create(title="b")
            assert self.told() == []
        assert len(self.told()) == 1
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            Book.objects.create(title="c")
        assert callbacks == []  # a test that counts its own callbacks finds these
        assert len(self.told()) == 1


class MadeForAll(Told, ChannelTestCase):
    __test__ = False

    @classmethod
    def setUpTestData(cls) -> None:
        bind(group_names=classmethod(lambda cls, instance: ["case"]))
        cls.book = Book.objects.create(title="for all")

    def setUp(self) -> None:
        self.told()

    def test_made_for_all(self) -> None:
        """What the class has made is no news to its tests."""
        with transaction.atomic():
            self.book.save()
        assert len(self.told()) == 1


@pytest.mark.parametrize(
    "case",
    [Captured("test_captured"), Captured("test_client"), AtOnce("test_at_once"), MadeForAll("test_made_for_all")],
    ids=lambda case: case.id(),
)
def test_in_a_test_case(case: unittest.TestCase, layer: ChannelLayerWrapper) -> None:
    """TC-01: in a ``TestCase`` Django captures what waits for the commit; in ours the test's transaction is none."""
    result = unittest.TestSuite([case]).run(unittest.TestResult())
    assert not result.errors + result.failures, (result.errors + result.failures)[0][1]
    assert result.testsRun == 1
