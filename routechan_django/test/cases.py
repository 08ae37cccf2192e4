"""Test cases with fresh channel layers for each test."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from django.test import TestCase, TransactionTestCase

from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers
from routechan.message import Message

from .layers import fresh_layers


class ChannelTestCaseMixin:
    """A mix-in for any test case of Django: each test begins with empty in-memory layers (TC-01, TC-02).

    ``test_channel_aliases`` are the aliases of these layers. They exist from before ``setUp``, overridden or not, until
    all cleanups have run. Their routing is that of the settings, without the default consumers. Lifetime: test.
    """

    test_channel_aliases: Iterable[str] = (DEFAULT_CHANNEL_LAYER,)

    def _callSetUp(self) -> None:
        # unittest calls this for ``setUp``. Django's ``_pre_setup`` would not do: some versions of Django have it as
        # a method of the class, which also runs once before all tests (PL-07).
        with ExitStack() as stack:
            stack.enter_context(fresh_layers(self.test_channel_aliases))
            self.addCleanup(stack.pop_all().close)  # type: ignore[attr-defined]
        super()._callSetUp()  # type: ignore[misc]

    def get_next_message(
        self, channel: str, alias: str = DEFAULT_CHANNEL_LAYER, require: bool = False
    ) -> Message | None:
        """The next message on a channel, which is removed from it; None if there is none (TC-05).

        Args:
            channel: The name of the channel.
            alias: The alias of the layer.
            require: Whether the test fails if there is no message.
        """
        layer: Any = channel_layers[alias]
        name, content = layer.receive_many([channel])
        if name is not None:
            return Message(content, name, layer)
        if require:
            self.fail(f"no message is waiting on {channel!r}")  # type: ignore[attr-defined]
        return None


class ChannelTestCase(ChannelTestCaseMixin, TestCase):
    """``django.test.TestCase`` with fresh channel layers for each test."""


class TransactionChannelTestCase(ChannelTestCaseMixin, TransactionTestCase):
    """``django.test.TransactionTestCase`` with fresh channel layers for each test."""
