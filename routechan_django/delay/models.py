"""Messages that wait in the database until they are due."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.db import models, router, transaction
from django.utils import timezone

from routechan.channel import Channel
from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers


class DelayedMessageQuerySet(models.QuerySet["DelayedMessage"]):
    """Delayed messages."""

    def is_due(self) -> DelayedMessageQuerySet:
        """The messages whose ``due_date`` has passed (DL-05)."""
        due: DelayedMessageQuerySet = self.filter(due_date__lte=timezone.now())
        return due


class DelayedMessage(models.Model):
    """A message for ``channel_name``, to be sent at ``due_date``; its ``content`` is a dict, as JSON.

    Setting ``delay``, in milliseconds, sets ``due_date``. Lifetime: from ``save()`` until it was sent.
    """

    due_date = models.DateTimeField(db_index=True)
    channel_name = models.CharField(max_length=512)
    content = models.TextField()

    objects = DelayedMessageQuerySet.as_manager()

    class Meta:
        app_label = "routechan_delay"
        db_table = "channels.delay_delayedmessage"  # the table of 1.x, whose messages are still sent (DL-01)

    @property
    def delay(self) -> float:
        """The delay in milliseconds, as it was set; ``AttributeError`` before (DL-04)."""
        return self._delay

    @delay.setter
    def delay(self, milliseconds: float) -> None:
        self._delay = milliseconds
        self.due_date = timezone.now() + timedelta(milliseconds=milliseconds)

    def send(self, channel_layer: Any = None, requeue_delay: float = 1000) -> bool:
        """Send the message now, whenever it is due, and delete its row (DL-14).

        Args:
            channel_layer: The 1.x face of a layer; by default that of the default layer.
            requeue_delay: Milliseconds until the message is due again, where its channel is full.

        Returns:
            Whether it was sent. It is not if the channel is full or another process has sent it.

        Raises:
            InvalidContent, InvalidName, MessageTooLarge, ValueError: It can never be sent. The row stays, as for any
                other error of the layer.
        """
        if not channel_layer:
            channel_layer = channel_layers[DEFAULT_CHANNEL_LAYER]
        database = self._state.db or router.db_for_write(type(self), instance=self)
        stored = self.pk is not None
        with transaction.atomic(using=database):
            # The process that deletes the row sends the message. Another one waits here for our transaction, and then
            # finds no row; an error below rolls the deletion back (DL-14).
            if stored and not type(self).objects.using(database).filter(pk=self.pk).delete()[0]:
                return False
            try:
                Channel(self.channel_name, channel_layer=channel_layer).send(json.loads(self.content), immediately=True)
            except channel_layer.ChannelFull:
                self.delay = requeue_delay
                self.save(using=database, force_insert=True)
                return False
        self.pk = None  # as after delete()
        return True
