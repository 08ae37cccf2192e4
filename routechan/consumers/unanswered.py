"""What a client is told whose message no consumer takes, or whose question its consumer leaves without an answer."""

from __future__ import annotations

from typing import Protocol

from ..encoding import Content
from ..interfaces import ANSWER, FAILED, HTTP_CHANNELS, QUESTION, UNROUTED, first_of, unanswered
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


def without_route(message: Message) -> Content | None:
    """What to say to the reply channel of a ``message`` that no route takes; None where nobody waits for it."""
    if message.reply_channel is None:
        return None
    none, channel = unanswered(message.content, "No consumer takes this question."), message.channel_name
    if none is None and first_of(channel, message.content):
        return {UNROUTED: True} if channel in HTTP_CHANNELS else {FAILED: f"no route takes a message on {channel}"}
    return none
