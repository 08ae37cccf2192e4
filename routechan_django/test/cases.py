"""Test cases in which every test has channel layers of its own."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from django.test import TestCase, TransactionTestCase

from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers
from routechan.message import Message

from .layers import fresh_layers


class ChannelTestCaseMixin:
    """For any test case of Django: each test begins with empty in-memory layers (TC-01, TC-02).

    ``test_channel_aliases`` names them. They are there before ``setUp``, overridden or not, and until all cleanups
    have run; their routing is that of the settings, without the default consumers.
    """

    test_channel_aliases: Iterable[str] = (DEFAULT_CHANNEL_LAYER,)

    def _callSetUp(self) -> None:
        # What unittest calls for ``setUp``: Django's ``_pre_setup`` is a method of the test in some versions and of
        # the class in others, where it also runs once before any test (PL-07).
        with ExitStack() as stack:
            stack.enter_context(fresh_layers(self.test_channel_aliases))
            self.addCleanup(stack.pop_all().close)  # type: ignore[attr-defined]
        super()._callSetUp()  # type: ignore[misc]

    def get_next_message(
        self, channel: str, alias: str = DEFAULT_CHANNEL_LAYER, require: bool = False
    ) -> Message | None:
        """The next message on ``channel``, taken off it, or None; with ``require`` the test fails instead (TC-05)."""
        layer: Any = channel_layers[alias]
        name, content = layer.receive_many([channel])
        if name is not None:
            return Message(content, name, layer)
        if require:
            self.fail(f"no message is waiting on {channel!r}")  # type: ignore[attr-defined]
        return None


class ChannelTestCase(ChannelTestCaseMixin, TestCase):
    """``django.test.TestCase`` with channel layers of its own for each test."""


class TransactionChannelTestCase(ChannelTestCaseMixin, TransactionTestCase):
    """``django.test.TransactionTestCase`` with channel layers of its own for each test."""
