"""The chat's frames, with a client that connects, sends and receives (apps.md rows 3 and 4); no browser needed."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.processes import PATIENCE, ROOT

from .conftest import CHAT, Example

pytestmark = pytest.mark.slow
kinds = pytest.mark.parametrize("kind", ["chat", "achat"])


@contextmanager
def enter(demo: Example, kind: str, room: str) -> Iterator[ClientConnection]:
    """A socket in ``room`` that has been greeted."""
    with connect(f"{demo.sockets}/ws/{kind}/{room}/") as socket:
        greeting = heard(socket)
        assert greeting["type"] == "connection_established"
        assert greeting["message"] == f"You are in {room}."
        yield socket


def heard(socket: ClientConnection) -> dict:
    return json.loads(socket.recv(PATIENCE))


@kinds
def test_what_is_broadcast_has_both_keys(demo: Example, kind: str) -> None:
    """A frame of row 3, without a name, is from Anonymous; one of row 4 keeps its name."""
    with enter(demo, kind, "keys") as one, enter(demo, kind, "keys") as other:
        one.send(json.dumps({"message": "hello"}))
        other.send(json.dumps({"message": "é😀", "username": "Ann"}))
        for socket in (one, other):
            frames = [heard(socket), heard(socket)]
            assert {"message": "hello", "username": "Anonymous"} in frames
            assert {"message": "é😀", "username": "Ann"} in frames


@kinds
@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ("{", "That is not valid JSON."),
        ("", "That is not valid JSON."),
        ("[" * 100_000, "That is not valid JSON."),
        ("[]", 'Send a JSON object such as {"message": "Hello", "username": "Ann"}.'),
        ("{}", "The message is empty."),
        ('{"message": " "}', "The message is empty."),
        ('{"message": 5}', "The message is empty."),
        (json.dumps({"message": "x" * 1001}), "The message is too long: 1001 characters, of at most 1000."),
        ('{"message": "x", "username": 5}', "A name is text of at most 50 characters."),
        ('{"messages": []}', "Send between 1 and 100 messages at once."),
        ('{"messages": ["x"]}', "'messages' is a list of objects, each with a message."),
        (b"{}", "Send text, not bytes."),
    ],
    ids=range(12),
)
def test_a_bad_frame_is_answered_and_the_socket_stays_open(
    demo: Example, kind: str, frame: str | bytes, error: str
) -> None:
    """Row 4: the sender alone gets ``{"type": "error", "message": ...}`` and goes on."""
    with enter(demo, kind, "bad") as one, enter(demo, kind, "bad") as other:
        one.send(frame)
        assert heard(one) == {"type": "error", "message": error}
        one.send(json.dumps({"message": "x" * 1000}))
        for socket in (one, other):
            assert heard(socket) == {"message": "x" * 1000, "username": "Anonymous"}


@kinds
def test_many_messages_travel_in_batches_of_ten(demo: Example, kind: str) -> None:
    """Row 4: ``bulk_messages``, in order."""
    messages = [{"message": str(number), "username": "Ann"} for number in range(23)]
    with enter(demo, kind, "bulk") as one, enter(demo, kind, "bulk") as other:
        one.send(json.dumps({"messages": messages}))
        for socket in (one, other):
            batches = [heard(socket) for _ in range(3)]
            assert [batch["type"] for batch in batches] == ["bulk_messages"] * 3
            assert [len(batch["messages"]) for batch in batches] == [10, 10, 3]
            assert [message for batch in batches for message in batch["messages"]] == messages


def test_the_shell_session_of_the_readme(tmp_path: Path) -> None:
    """Row 3: the layer from a shell, through ``async_to_sync`` and as in 1.x; the README's lines are run."""
    examples = doctest.DocTestParser().get_examples((CHAT / "README.rst").read_text())
    assert len(examples) == 8
    code = "import sys\n" + "".join(
        f"sys.displayhook({example.source.strip()})\n" if example.want else example.source for example in examples
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", code],
        cwd=CHAT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DEMO_DATABASE": str(tmp_path / "none.sqlite3")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "".join(example.want for example in examples)
