"""The delay server's loop: DL-07 to DL-15, with Appendix A's way of counting rounds."""

from __future__ import annotations

import json
import logging
import signal
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from routechan.layers import SyncChannelLayer
from routechan_django.delay import worker as module
from routechan_django.delay.models import DelayedMessage
from routechan_django.delay.worker import Worker


class CountedWorker(Worker):
    """Ends after as many rounds as ``termed`` was set to, as the tests of 1.x had it."""

    rounds = 0

    @property
    def termed(self) -> bool:
        self.rounds -= 1
        return self.rounds < 0

    @termed.setter
    def termed(self, rounds: int) -> None:
        self.rounds = int(rounds)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_DELAY", 0.001)
    monkeypatch.setattr(module, "FAULT_DELAY", 0.001)


def request(**changes: Any) -> dict[str, Any]:
    return {"channel": "test", "delay": 1000, "content": {"test": "value"}, **changes}


def work(layer: Any, rounds: int, **options: Any) -> CountedWorker:
    worker = CountedWorker(layer, signal_handlers=False, **options)
    worker.termed = rounds
    worker.run()
    return worker


def later(seconds: float) -> Any:
    return mock.patch("django.utils.timezone.now", return_value=timezone.now() + timedelta(seconds=seconds))


def test_delay_message(ten: SyncChannelLayer) -> None:
    """DL-08, DL-12 (test_delay delay_message): stored, then sent and deleted when due, on a second run as well."""
    ten.send("asgi.delay", request())
    worker = work(ten, 1)
    assert DelayedMessage.objects.count() == 1
    assert ten.receive(["test"]) == (None, None)
    with later(2):
        worker.termed = 1
        worker.run()
    assert DelayedMessage.objects.count() == 0
    assert ten.receive(["test"]) == ("test", {"test": "value"})


def test_channel_full(ten: SyncChannelLayer) -> None:
    """DL-13, DL-06 (test_delay channel_full): ten accepted plus one, all due: ten are sent, one is due later."""
    for _ in range(10):
        ten.send("asgi.delay", request(delay=0))
    worker = work(ten, 11, database_sleep_duration=0)
    ten.send("asgi.delay", request(delay=0, content={"last": True}))
    now = timezone.now()
    worker.termed = 1
    worker.run()
    left = DelayedMessage.objects.get()
    assert json.loads(left.content) == {"last": True}
    assert left.due_date > now + timedelta(seconds=0.9)


def test_one_message_in_each_round(ten: SyncChannelLayer) -> None:
    """DL-13: accepting and sending alternate."""
    for number in range(4):
        ten.send("asgi.delay", request(delay=60_000, content={"n": number}))
    work(ten, 3)
    assert [json.loads(row.content)["n"] for row in DelayedMessage.objects.order_by("pk")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"test": "value"}, "channel, content, delay is missing in {'test': 'value'}"),
        ({"channel": "test", "delay": 5}, "content is missing"),
        (request(channel=""), "a channel name holds"),
        (request(channel="a" * 513), "at most 99 characters"),
        (request(channel=None), "a channel name is a str"),
        (request(content=[1]), "a message is a dict"),
        (request(content="text"), "a message is a dict"),
        (request(content={"bytes": b"x"}), "bytes is not JSON serializable"),
        (request(delay="soon"), "a number of milliseconds"),
        (request(delay=None), "a number of milliseconds"),
        (request(delay=float("nan")), "a finite number"),
        (request(delay=float("inf")), "a finite number"),
        (request(delay=10**17), "dropped"),
        (request(delay=2**63 - 1), "dropped"),
    ],
    ids=range(14),
)
def test_invalid_message(
    ten: SyncChannelLayer, caplog: pytest.LogCaptureFixture, message: dict[str, Any], said: str
) -> None:
    """DL-09, DL-10, OB-20 (test_delay invalid_message): not stored but logged, and the next one is taken."""
    ten.send("asgi.delay", message)
    ten.send("asgi.delay", request())
    work(ten, 2)
    (logged,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert said in logged.getMessage()
    assert DelayedMessage.objects.count() == 1


@pytest.mark.parametrize("delay", [0, -5, -(10**18)])
def test_due_at_once(ten: SyncChannelLayer, delay: float) -> None:
    """DL-10: without a delay, or with one below zero, it is sent in the round it came in."""
    ten.send("asgi.delay", request(delay=delay))
    work(ten, 1)
    assert ten.receive(["test"])[0] == "test"


@pytest.mark.parametrize(
    "broken", [{"content": "[1]"}, {"content": "{"}, {"content": ""}, {"channel_name": "not a name"}], ids=range(4)
)
def test_a_row_that_can_never_be_sent(
    ten: SyncChannelLayer, caplog: pytest.LogCaptureFixture, broken: dict[str, str]
) -> None:
    """DL-11, OB-20: it is logged and deleted, and what is behind it is sent."""
    for fields in (broken, {}):
        DelayedMessage.objects.create(**{"due_date": timezone.now(), "channel_name": "test", "content": "{}", **fields})
    work(ten, 1)
    assert "cannot be sent" in caplog.text
    assert DelayedMessage.objects.count() == 0
    assert ten.receive(["test"]) == ("test", {})


def test_a_layer_that_fails(ten: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """OB-34, DL-14: what could not be received or sent now is, when the layer is back; no row is lost."""
    DelayedMessage.objects.create(due_date=timezone.now(), channel_name="test", content="{}")
    layer = mock.Mock(spec=["send", "receive", "ChannelFull"], ChannelFull=ten.ChannelFull)
    layer.receive.side_effect = layer.send.side_effect = ConnectionError("gone")
    work(layer, 2, database_sleep_duration=0)
    assert "gave no answer" in caplog.text
    assert "it stays" in caplog.text
    work(ten, 1)
    assert ten.receive(["test"]) == ("test", {})


def test_a_database_that_fails(ten: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """A message that cannot be stored now is put back on its channel, and the server goes on."""
    ten.send("asgi.delay", request())
    with (
        mock.patch.object(DelayedMessage, "save", side_effect=OperationalError("gone")),
        mock.patch.object(DelayedMessage.objects, "is_due", side_effect=OperationalError("gone")),
    ):
        work(ten, 1)
    assert "could not be stored; it is put back" in caplog.text
    assert "The database of delayed messages failed" in caplog.text
    work(ten, 1)
    assert DelayedMessage.objects.count() == 1


def test_in_a_test_case(ten: SyncChannelLayer) -> None:
    """DL-12, TC-13: run inside a test's transaction it leaves the connection open, as the one of 1.x did."""
    with transaction.atomic(), mock.patch.object(connections["default"], "close_if_unusable_or_obsolete") as close:
        ten.send("asgi.delay", request())
        work(ten, 1)
    assert DelayedMessage.objects.count() == 1
    assert not close.called


def test_how_often_it_looks(ten: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """DL-12: at once, then after ``database_sleep_duration`` seconds; INFO for each row, DEBUG where none is due."""
    caplog.set_level(logging.DEBUG, "routechan")
    work(ten, 5, database_sleep_duration=60)
    assert [record.levelname for record in caplog.records if "is due" in record.message] == ["DEBUG"]
    DelayedMessage.objects.create(due_date=timezone.now(), channel_name="test", content="{}")
    work(ten, 5, database_sleep_duration=0)
    assert [record.levelname for record in caplog.records if "Sent the delayed" in record.message] == ["INFO"]
    assert sum("is due" in record.message for record in caplog.records) == 1 + 4


def test_receives_without_blocking() -> None:
    """DL-08: it asks the layer for ``asgi.delay`` alone, and does not wait there."""
    layer = mock.Mock(spec=["receive"])
    layer.receive.return_value = (None, None)
    work(layer, 1)
    layer.receive.assert_called_once_with(["asgi.delay"], block=False)


def test_attributes_and_logger() -> None:
    """DL-07, DL-15, section 13: arguments, attributes and the names of the module."""
    worker = Worker("a layer")
    assert (worker.channel_layer, worker.signal_handlers, worker.database_sleep_duration) == ("a layer", True, 1)
    assert (worker.termed, worker.in_job) == (False, False)
    assert module.logger is logging.getLogger("routechan")
    assert module.DelayedMessage is DelayedMessage


def test_signals() -> None:
    """DL-07: SIGTERM ends it at once while it waits, else after the message in hand (WK-06)."""
    busy, idle = Worker("a layer"), Worker("a layer")
    busy.in_job = True
    busy.sigterm_handler(signal.SIGTERM, None)
    assert busy.termed
    with pytest.raises(SystemExit) as ended:
        idle.sigterm_handler(signal.SIGTERM, None)
    assert ended.value.code == 0
