"""Sends that are noted for a tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, Group, route
from routechan.layers import InMemoryChannelLayer
from routechan.sending import notes
from routechan.testing import Client, fresh_layer


def test_what_is_noted() -> None:
    """Target, content in short, when it leaves, the line that sent it; nothing outside of the block."""

    def consumer(message: Any) -> None:
        Group("chat").send({"text": "from a consumer"})
        Channel("now").send({"n": [1] * 1000}, immediately=True)

    with fresh_layer():
        client = Client([route("work", consumer)])
        Channel("before").send({})
        with notes.noting() as noted:
            Channel("later").send({"text": "x"}, delay=2.5)
            client.send_and_consume("work")
        Channel("behind").send({})
    assert [(note.name, note.is_group, note.when, note.delay) for note in noted.kept] == [
        ("later", False, notes.AT_ONCE, 2.5),
        ("chat", True, notes.AFTER_CONSUMER, 0.0),
        ("now", False, notes.AT_ONCE, 0.0),
    ]
    assert all(note.place.startswith(f"{__file__}:") for note in noted.kept)
    assert noted.kept[0].content == "{'text': 'x'}"
    assert len(noted.kept[2].content) < 200
    assert (noted.count, notes.blocks) == (3, 0)


async def test_another_context_is_not_noted() -> None:
    """Requests side by side each have their own; a thread that is given the context is noted."""
    layer = InMemoryChannelLayer()

    async def sends(name: str) -> list[str]:
        with notes.noting() as noted:
            await Channel(name, channel_layer=layer).asend({})
            await asyncio.sleep(0)
            await asyncio.to_thread(Channel(f"{name}-thread", channel_layer=layer).send, {})
        return [note.name for note in noted.kept]

    assert await asyncio.gather(sends("a"), sends("b")) == [["a", "a-thread"], ["b", "b-thread"]]


def test_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first are kept, and all are counted."""
    monkeypatch.setattr(notes, "MOST_NOTES", 2)
    with fresh_layer(), notes.noting() as noted:
        for number in range(5):
            Channel(f"a{number}").send({})
    assert ([note.name for note in noted.kept], noted.count) == (["a0", "a1"], 5)
