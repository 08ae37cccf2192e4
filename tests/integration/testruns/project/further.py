"""Tests that start a process, such as a server, and tests that Django cannot run in parallel."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest

from django.test import SimpleTestCase

from routechan import Channel
from routechan_django.test import sent

from .cases import LOBBY

CODE = """
import django
django.setup()
from routechan_django.asgi import get_channel_layer
print(get_channel_layer())
"""


class Children(SimpleTestCase):
    def test_what_a_test_starts_is_no_test(self) -> None:
        """A process of its own has the layer of the settings."""
        environment = {name: value for name, value in os.environ.items() if name != "SEND_EARLY"}
        done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
        assert "RedisChannelLayer" in done.stdout


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_one(self) -> None:
        assert sent.all() == []
        await Channel("tests").asend({})
        Channel("tests").send({})
        await LOBBY.aadd("tests")

    async def test_two(self) -> None:
        await self.test_one()
