"""Clients that know more of a history than the process they come back to."""

from __future__ import annotations

import pytest

from .test_history import HISTORY, Server
from .tools import Make


@pytest.mark.parametrize("asked_first", [False, True])
async def test_who_comes_back_knows_more_than_the_process(
    make: Make, monkeypatch: pytest.MonkeyPatch, asked_first: bool
) -> None:
    """Its client has got messages elsewhere that are no news here yet: that is no gap, and none of them comes twice.

    Also where it has asked before anybody was a member here, and its answer comes when somebody is.
    """
    server, sender = Server(make), make(history=HISTORY)
    here, kept, back = (server.socket(name) for name in ("here", "kept", "back"))
    await server.layer.group_add("chat-1", here)
    await sender.group_send("chat-1", {"n": 1})
    await server.has(here, 1)
    if not asked_first:  # the whole history is kept here
        await server.layer.group_catch_up("chat-1", kept, last=1)
    monkeypatch.setattr(sender.engine._histories, "_tell", lambda *arguments: iter(()))
    await sender.group_send("chat-1", {"n": 2})
    await sender.group_send("chat-1", {"n": 3})
    if asked_first:
        monkeypatch.setattr(server.layer.engine.tails, "prepare", lambda group, whole: (None, False))
    history = await sender.group_history("chat-1")
    assert await server.layer.group_catch_up("chat-1", back, since=history[1].position) is True
    server.layer.engine.tails.look()
    await server.has(back, 3)
    await server.has(here, 1, 2, 3)
    assert server.got[back] == [3]
