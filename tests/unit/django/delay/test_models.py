"""Delayed messages: the specification's DL-01 to DL-06, and how two servers share one table."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.apps import apps
from django.db import models
from django.utils import timezone

import routechan_django.delay
from routechan.exceptions import InvalidContent
from routechan.layers import InMemoryChannelLayer, SyncChannelLayer
from routechan_django.delay.apps import DelayConfig
from routechan_django.delay.models import DelayedMessage, DelayedMessageQuerySet


def stored(content: Any = None, delay: float = 0) -> DelayedMessage:
    message = DelayedMessage(
        content=json.dumps({"test": "data"} if content is None else content), channel_name="test", delay=delay
    )
    message.save()
    return message


def test_app() -> None:
    """DL-01, PL-06, PL-14: a label Django takes, the table of 1.x, an integer key without a warning."""
    config = apps.get_app_config("routechan_delay")
    assert isinstance(config, DelayConfig)
    assert (config.name, config.verbose_name) == ("routechan_django.delay", "Channels Delay")
    assert DelayedMessage._meta.db_table == "channels.delay_delayedmessage"
    assert type(DelayedMessage._meta.pk) is models.AutoField
    assert routechan_django.delay.default_app_config == "routechan_django.delay.apps.DelayConfig"


def test_fields() -> None:
    """DL-03: the columns of 1.x."""
    due_date, channel_name, content = map(DelayedMessage._meta.get_field, ("due_date", "channel_name", "content"))
    assert isinstance(due_date, models.DateTimeField)
    assert due_date.db_index
    assert isinstance(channel_name, models.CharField)
    assert channel_name.max_length == 512
    assert isinstance(content, models.TextField)


def test_delay() -> None:
    """DL-04: setting it, as a keyword too, sets the due date; it cannot be read before."""
    with pytest.raises(AttributeError):
        _ = DelayedMessage().delay
    now = timezone.now()
    with mock.patch("django.utils.timezone.now", return_value=now):
        message = DelayedMessage(delay=1500)
        assert (message.delay, message.due_date) == (1500, now + timedelta(milliseconds=1500))
        message.delay = 10
        assert message.due_date == now + timedelta(milliseconds=10)


def test_is_due() -> None:
    """DL-05 (test_delay is_due): counted only after its date."""
    assert isinstance(DelayedMessage.objects.all(), DelayedMessageQuerySet)
    stored(delay=5000)
    assert DelayedMessage.objects.is_due().count() == 0
    with mock.patch("django.utils.timezone.now", return_value=timezone.now() + timedelta(milliseconds=5001)):
        assert DelayedMessage.objects.is_due().count() == 1


def test_send(ten: SyncChannelLayer) -> None:
    """DL-06 (test_delay send): sent on the default layer though it is not due, and deleted."""
    message = stored(delay=60_000)
    assert message.send(requeue_delay=1000) is True
    assert ten.receive(["test"]) == ("test", {"test": "data"})
    assert DelayedMessage.objects.count() == 0
    assert message.pk is None


def test_send_on_another_layer(ten: SyncChannelLayer) -> None:
    """DL-06: on the layer that is given, if one is."""
    other = InMemoryChannelLayer().sync
    stored().send(other)
    assert ten.receive(["test"]) == (None, None)
    assert other.receive(["test"])[0] == "test"


def test_send_what_was_never_saved(ten: SyncChannelLayer) -> None:
    """DL-06: a message that has no row is sent too, and gets one where the channel is full."""
    for number in range(11):
        DelayedMessage(content=json.dumps({"n": number}), channel_name="test", delay=0).send()
    assert json.loads(DelayedMessage.objects.get().content) == {"n": 10}


def test_send_to_a_full_channel(ten: SyncChannelLayer) -> None:
    """DL-06: it stays, and is due again after ``requeue_delay`` milliseconds."""
    for _ in range(10):
        ten.send("test", {})
    message = stored()
    number, now = message.pk, timezone.now()
    with mock.patch("django.utils.timezone.now", return_value=now):
        assert message.send(requeue_delay=2500) is False
    left = DelayedMessage.objects.get()
    assert (left.pk, left.due_date, left.channel_name) == (number, now + timedelta(milliseconds=2500), "test")
    assert json.loads(left.content) == {"test": "data"}


def test_only_one_sends(ten: SyncChannelLayer) -> None:
    """DL-14: of two servers that have read the same row one sends it."""
    number = stored().pk
    one, other = DelayedMessage.objects.get(pk=number), DelayedMessage.objects.get(pk=number)
    assert (one.send(), other.send()) == (True, False)
    assert ten.channel_statistics("test")["messages_count"] == 1


def test_what_could_not_be_sent_stays(ten: SyncChannelLayer) -> None:
    """DL-06: an error of the layer reaches the caller, and the row is still there."""
    layer = mock.Mock(spec=["send", "ChannelFull"], ChannelFull=ten.ChannelFull)
    layer.send.side_effect = ConnectionError("gone")
    message = stored()
    with pytest.raises(ConnectionError):
        message.send(layer)
    assert DelayedMessage.objects.get().pk == message.pk


def test_content_that_is_no_dict(ten: SyncChannelLayer) -> None:
    """DL-11: sending it raises ``TypeError``."""
    message = stored(content=[1])
    with pytest.raises(TypeError) as raised:
        message.send()
    assert isinstance(raised.value, InvalidContent)
