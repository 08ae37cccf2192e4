"""The frames of the chat, as pure functions: read those of a browser, write those for it."""

# What is inside of JSON has no types.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

ANONYMOUS = "Anonymous"
MAX_MESSAGE = 1000  # characters
MAX_NAME = 50  # characters
MAX_MESSAGES = 100  # in one frame
BATCH = 10  # messages in one ``bulk_messages`` frame


class BadFrame(ValueError):
    """A frame that is answered with an error; its text is for the user."""


def read(text: str | None) -> dict[str, Any]:
    """The JSON object in a frame. Raises ``BadFrame``."""
    if text is None:
        raise BadFrame("Send text, not bytes.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrame("That is not valid JSON.") from None
    if not isinstance(frame, dict):
        raise BadFrame('Send a JSON object such as {"message": "Hello", "username": "Ann"}.')
    return frame


def answers(frame: dict[str, Any], username: str | None) -> list[dict[str, Any]]:
    """The frames that everybody in the room receives because of ``frame``. Raises ``BadFrame``.

    ``username`` is the name of a logged-in user; guests give one with each frame.
    """
    if "messages" not in frame:
        return [_chat(frame, username)]
    entries = frame["messages"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadFrame("'messages' is a list of objects, each with a message.")
    if not 0 < len(entries) <= MAX_MESSAGES:
        raise BadFrame(f"Send between 1 and {MAX_MESSAGES} messages at once.")
    messages = [_chat(entry, username) for entry in entries]
    return [
        {"type": "bulk_messages", "messages": messages[start : start + BATCH]}
        for start in range(0, len(messages), BATCH)
    ]


def _chat(entry: dict[str, Any], username: str | None) -> dict[str, Any]:
    message = entry.get("message")
    if not isinstance(message, str) or not message.strip():
        raise BadFrame("The message is empty.")
    if len(message) > MAX_MESSAGE:
        raise BadFrame(f"The message is too long: {len(message)} characters, of at most {MAX_MESSAGE}.")
    name = username or entry.get("username") or ANONYMOUS
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise BadFrame(f"A name is text of at most {MAX_NAME} characters.")
    return {"message": message, "username": name.strip() or ANONYMOUS}


def reply(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame as content for a reply channel or a group."""
    return {"text": json.dumps(frame)}


def somebody(user: AbstractBaseUser | AnonymousUser) -> dict[str, Any] | None:
    """Who a logged-in ``user`` is to the others in the room; None for a guest."""
    return {"id": user.pk, "name": user.get_username()} if user.is_authenticated else None


def names(present: list[dict[str, Any]]) -> list[str]:
    return [who["name"] for who in present]


def greeting(room: str, who: dict[str, Any] | None, present: list[dict[str, Any]]) -> dict[str, Any]:
    return reply(
        {
            "type": "connection_established",
            "message": f"You are in {room}.",
            "username": who["name"] if who else ANONYMOUS,
            "online": names(present),
        }
    )


def joined(username: str, present: list[dict[str, Any]]) -> dict[str, Any]:
    return reply({"type": "user_join", "username": username, "online": names(present)})


def left(username: str, present: list[dict[str, Any]]) -> dict[str, Any]:
    return reply({"type": "user_leave", "username": username, "online": names(present)})


def error(reason: BadFrame) -> dict[str, Any]:
    return reply({"type": "error", "message": str(reason)})
