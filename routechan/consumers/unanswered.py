"""Questions of clients that their consumers leave without an answer."""

from __future__ import annotations

from typing import Protocol

from ..encoding import Content
from ..interfaces import ANSWER, QUESTION, unanswered
from ..message import Message
from ..outbox import Entry, Sender


class Ended(Protocol):
    """A consumer that has ended: its message, and what it has sent."""

    message: Message
    entries: list[Entry]

    def add(self, sender: Sender, content: Content) -> None:
        """Add a send of ``content`` through ``sender``."""


def end_question(invocation: Ended, reason: str) -> None:
    """Tell the client that its question is not answered, unless it is, or was handed on to another consumer.

    Args:
        invocation: The consumer.
        reason: Why there is no answer, for the client.
    """
    message = invocation.message
    none = unanswered(message.content, reason)
    if none is None or message.reply_channel is None or message.is_answered:
        return
    number = none[ANSWER]
    for _, content, *_ in invocation.entries:
        if number in (content.get(QUESTION), content.get(ANSWER)):
            return
    invocation.add(message.reply_channel, none)
