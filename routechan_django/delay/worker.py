"""The delay server: stores the messages of ``asgi.delay`` and sends those that are due (DL-07 to DL-15)."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from django.db import Error as DatabaseFailure

from routechan.exceptions import InvalidContent, InvalidName, MessageTooLarge
from routechan.worker import Worker as ConsumerWorker

from ..connections import close_old_connections
from .models import DelayedMessage
from .request import CHANNEL, InvalidRequest, read_request

logger = logging.getLogger("routechan")

#: Seconds to sleep when there was no message.
IDLE_DELAY = 0.1

#: Seconds to wait after the layer or the database failed.
FAULT_DELAY = 1.0

#: Errors of a message that can never be sent. A JSON error is a ``ValueError``.
_NEVER_SENT = (InvalidContent, InvalidName, MessageTooLarge, ValueError)


class Worker(ConsumerWorker):
    """The delay server; any number may run. Lifetime: process, or thread without ``signal_handlers``.

    An error with one message is logged, and the worker goes on with the next one.

    Args:
        channel_layer: The 1.x face of a layer.
        signal_handlers: Whether SIGTERM and SIGINT stop the worker.
        database_sleep_duration: Seconds between two queries for due messages.
    """

    def __init__(self, channel_layer: Any, signal_handlers: bool = True, database_sleep_duration: float = 1) -> None:
        super().__init__(channel_layer, signal_handlers=signal_handlers)
        self.database_sleep_duration = database_sleep_duration

    def run(self) -> None:
        """Serve until ``termed`` is set; it is read once in each round."""
        if self.signal_handlers:
            self.install_signal_handler()
        logger.info("Listening on %s", CHANNEL)
        queried_at: float | None = None
        while not self.termed:
            self.in_job = False
            content = self._next_content()
            self.in_job = True
            if content is not None:
                self._store(content)
            if queried_at is None or time.monotonic() - queried_at > self.database_sleep_duration:
                self._send_due()
                queried_at = time.monotonic()

    def _next_content(self) -> Any:
        """The content of the next message, or None after a pause."""
        try:
            channel, content = self.channel_layer.receive([CHANNEL], block=False)
        except Exception:  # an unreachable broker comes back (OB-34)
            logger.exception("The channel layer gave no answer; trying again in %s seconds", FAULT_DELAY)
            time.sleep(FAULT_DELAY)
            return None
        if channel is None:
            time.sleep(IDLE_DELAY)
            return None
        return content

    def _store(self, content: Any) -> None:
        try:
            request = read_request(content)
            stored = DelayedMessage(channel_name=request.channel, content=json.dumps(request.content))
            stored.delay = request.delay
        except InvalidRequest as error:
            logger.error("%s; it is dropped", error)
            return
        except (TypeError, ValueError, OverflowError, RecursionError) as error:  # it fits no JSON, or no date
            logger.error("A message on %s cannot be stored (%s) and is dropped: %.200r", CHANNEL, error, content)
            return
        try:
            close_old_connections()
            stored.save()
        except DatabaseFailure:
            logger.exception("A message on %s could not be stored; it is put back", CHANNEL)
            self._requeue(content)
            time.sleep(FAULT_DELAY)

    def _requeue(self, content: Any) -> None:
        try:
            self.channel_layer.send(CHANNEL, content)
        except Exception:  # the broker is unreachable too, or the channel is full by now
            logger.exception("A message on %s is lost: %.200r", CHANNEL, content)

    def _send_due(self) -> None:
        try:
            close_old_connections()
            due = list(DelayedMessage.objects.is_due())
            if not due:
                logger.debug("No delayed message is due")
            for message in due:
                self._send(message)
        except DatabaseFailure:
            logger.exception("The database of delayed messages failed; trying again")

    def _send(self, message: DelayedMessage) -> None:
        channel, number = message.channel_name, message.pk
        try:
            if message.send(self.channel_layer):
                logger.info("Sent the delayed message %s to %s", number, channel)
        except DatabaseFailure:
            raise
        except _NEVER_SENT as error:
            logger.error(
                "The delayed message %s to %s cannot be sent (%s) and is deleted: %.200s",
                number,
                channel,
                error,
                message.content,
            )
            message.delete()
        except Exception:  # of the layer, which may answer next time; the row is kept
            logger.exception("The delayed message %s to %s could not be sent; it stays", number, channel)
