"""``send(..., on_commit=True)`` with the transactions of Django."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from routechan import Channel
from routechan_django import conf
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import ChannelTestCase
from tests.unit.django.binding.test_commit import undone
from tests.unit.django.testing.test_cases import run
from tests.unit.helpers import drain


@pytest.fixture(autouse=True)
def connected(database: None) -> Iterator[None]:
    yield
    assert not connection.in_atomic_block


class Sends(unittest.TestCase):
    """Sends in blocks of transactions; the layer is that of the test case."""

    def sends(self) -> None:
        with transaction.atomic():
            Channel("a").send({"n": 1}, on_commit=True)
            with undone():
                Channel("a").send({"n": 2}, on_commit=True)
            assert self.received() == []
            async_to_sync(Channel("a").asend)({"n": 3}, on_commit=True)
            assert self.received() == []

    def received(self) -> list[Any]:
        return [content["n"] for content in drain(Channel("a").channel_layer, "a")]


class Captured(Sends, TestCase):
    __test__ = False

    def runTest(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            self.sends()
        assert self.received() == [1, 3]
        assert len(callbacks) == 2
        with self.captureOnCommitCallbacks() as callbacks:
            Channel("a").send({"n": 4}, on_commit=True)
        assert self.received() == []
        callbacks[0]()
        assert self.received() == [4]


class Committed(Sends, TransactionTestCase):
    __test__ = False

    def runTest(self) -> None:
        self.sends()
        assert self.received() == [1, 3]
        Channel("a").send({"n": 4}, on_commit=True)
        assert self.received() == [4]


class NoneAround(Sends, ChannelTestCase):
    """A test case of ours takes the transaction of the test for none."""

    __test__ = False

    def runTest(self) -> None:
        self.sends()
        assert self.received() == [1, 3]
        Channel("a").send({"n": 4}, on_commit=True)
        assert self.received() == [4]


@pytest.mark.parametrize("case", [Captured, Committed, NoneAround])
def test_in_test_cases(layer: ChannelLayerWrapper, case: type[unittest.TestCase]) -> None:
    """At the commit, in order, also from async code that plain code calls; and what is rolled back is not sent."""
    result = run(case)
    assert not result.errors + result.failures, (result.errors + result.failures)[0][1]


class ByDefault(Sends, TestCase):
    __test__ = False

    def runTest(self) -> None:
        with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
            Channel("a").send({"n": 1})
            Channel("a").send({"n": 2}, on_commit=False)
            assert self.received() == [2]
        assert self.received() == [1]


def test_the_setting(layer: ChannelLayerWrapper) -> None:
    """SEND_ON_COMMIT makes it the default of sends outside of consumers."""
    with override_settings(ROUTECHAN={"SEND_ON_COMMIT": True}):
        assert conf.sends_on_commit()
        result = run(ByDefault)
    assert not result.errors + result.failures, (result.errors + result.failures)[0][1]
    assert not conf.sends_on_commit()


def test_what_is_no_bool() -> None:
    """The error says what was expected."""
    with (
        override_settings(ROUTECHAN={"SEND_ON_COMMIT": "yes"}),
        pytest.raises(ImproperlyConfigured, match=r"ROUTECHAN\['SEND_ON_COMMIT'\] is 'yes'; expected True or False"),
    ):
        conf.sends_on_commit()
