"""What is logged about messages whose consumer failed or was not found: each kind of failure once per interval."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..inspection import name_that_thing
from ..inspection.mistakes import awaited_send
from ..message import Message
from ..telemetry.log_fields import message_log_fields
from ..telemetry.repeats import Repeats

if TYPE_CHECKING:
    from .dispatch import Invocation

logger = logging.getLogger("routechan")

#: Seconds between two log lines about the same failure; few, because a developer who tries again wants to see it again.
INTERVAL = 10.0


class FailureLog:
    """The log of one dispatcher. Lifetime: that of the dispatcher.

    A client can make a consumer fail with each frame of one byte, so nothing here is written once per message.
    """

    def __init__(self) -> None:
        self._repeats = Repeats(INTERVAL)

    def raised(self, invocation: Invocation, error: BaseException) -> None:
        """Log ``error`` of the consumer of ``invocation``, with its traceback.

        Errors are identical if the consumer, the class and the line that raised are.
        """
        traceback, place = error.__traceback__, None
        while traceback is not None:
            place = traceback.tb_frame.f_code, traceback.tb_lineno
            traceback = traceback.tb_next
        more = self._repeats.more((name_that_thing(invocation.consumer), type(error), place))
        if more is not None:
            what = f"{more}{awaited_send(error)}"
            logger.error("Error in consumer %s%s", invocation, what, exc_info=error, extra=invocation.log_fields())

    def hook_raised(self, invocation: Invocation, text: str) -> None:
        """Log the exception that is being handled, of a hook; ``text`` begins a sentence that ``invocation`` ends."""
        more = self._repeats.more((name_that_thing(invocation.consumer), text))
        if more is not None:
            logger.exception("%s %s%s", text, invocation, more, extra=invocation.log_fields())

    def routing_raised(self, message: Message) -> None:
        """Log the exception that is being handled, which kept ``message`` from its consumer."""
        more = self._repeats.more(("routing", message.channel_name))
        if more is not None:
            logger.exception(
                "Routing a message on %s failed; it is dropped%s",
                message.channel_name,
                more,
                extra=message_log_fields(message),
            )

    def unrouted(self, message: Message, level: int) -> None:
        """Log at ``level`` that no route takes ``message``."""
        more = self._repeats.more(("unrouted", message.channel_name))
        if more is not None:
            logger.log(
                level,
                "No route takes a message on %s; it is dropped%s",
                message.channel_name,
                more,
                extra=message_log_fields(message),
            )

    def refused(self, message: Message, reason: str) -> None:
        """Log that the socket of ``message`` is refused for ``reason``."""
        more = self._repeats.more("refused")
        if more is not None:
            logger.warning(
                "WebSocket %r is refused: %s%s",
                message.content.get("path"),
                reason,
                more,
                extra=message_log_fields(message),
            )

    def dropped(self, invocation: Invocation, retries: int) -> None:
        """Log that the consumer of ``invocation`` had all its ``retries``."""
        more = self._repeats.more((name_that_thing(invocation.consumer), "retries"))
        if more is not None:
            logger.warning(
                "%s asked for another try %d times; the message is dropped: %.100r%s",
                invocation,
                retries,
                invocation.message.content,
                more,
                extra=invocation.log_fields(),
            )
