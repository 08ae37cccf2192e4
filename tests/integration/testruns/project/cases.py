"""Test cases that use nothing of routechan for tests; each sends as code under test would."""

from __future__ import annotations

import os
import threading
import unittest
from typing import ClassVar

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.db import transaction  # noqa: E402
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings  # noqa: E402

from routechan import Channel, Group  # noqa: E402
from routechan.layers import InMemoryChannelLayer, channel_layers  # noqa: E402
from routechan_django.test import Client, sent  # noqa: E402

from .early import EarlyConfig  # noqa: E402

#: Made when this module is imported, as much code does.
LOBBY = Group("lobby")

if os.environ.get("SEND_EARLY"):
    Group("import").send({"text": "while tests are looked for"})


class Sends:
    """In every case: two tests, each of which sends what the other would see."""

    def check(self) -> None:
        layer = channel_layers["default"]
        assert isinstance(layer.layer, InMemoryChannelLayer)
        assert layer.receive(["tests"]) == (None, None), "left by another test"
        assert layer.group_channels("lobby") == []
        assert sent.all() == []
        for number in range(150):  # more than a channel of the real layer holds
            Channel("tests").send({"number": number})
        LOBBY.add("tests")
        LOBBY.send({"text": "to the lobby"})
        EarlyConfig.group.send({"text": "through a group made early"})
        Group("later").send({"text": "later"}, delay=0.01)
        assert layer.receive(["tests"]) == ("tests", {"number": 0})
        assert sent.group("lobby") == [{"text": "to the lobby"}]
        assert sent.group("early") == [{"text": "through a group made early"}]

    def test_one(self) -> None:
        self.check()

    def test_two(self) -> None:
        self.check()


class Plain(Sends, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        LOBBY.send({"text": "while the data of the tests is made"})

    def test_on_commit(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            transaction.on_commit(lambda: LOBBY.send({"text": "committed"}))
        assert sent.group("lobby") == [{"text": "committed"}]

    def test_thread(self) -> None:
        thread = threading.Thread(target=lambda: LOBBY.send({"text": "from a thread"}))
        thread.start()
        thread.join()
        assert sent.group("lobby") == [{"text": "from a thread"}]

    async def test_async(self) -> None:
        await LOBBY.asend({"text": "async"})
        assert sent.group("lobby") == [{"text": "async"}]

    def test_consumers(self) -> None:
        client = Client()
        client.send_and_consume("websocket.receive", {"path": "/", "text": "hello"})
        assert sent.group("lobby") == [{"text": "hello"}]
        assert sent.channel("thumbnail") == [{"of": "hello"}]


class Transaction(Sends, TransactionTestCase):
    pass


class Simple(Sends, SimpleTestCase):
    databases: ClassVar[set[str]] = set()


@override_settings(CHANNEL_LAYERS={"default": {**settings.CHANNEL_LAYERS["default"], "CONFIG": {"expiry": 30}}})
class Overridden(Sends, SimpleTestCase):
    """Other settings for the test, with a layer of the same kind."""


class NoDjango(Sends, unittest.TestCase):
    pass
