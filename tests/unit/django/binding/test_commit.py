"""A binding tells of what is committed, and of nothing that is rolled back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse

from routechan import Group, Message, route
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import WSClient, apply_routes

from .helpers import Sent, ToAll, actions, bind, data
from .models import Book, Code, Paperback

#: Renamed in Django 6.1.
savepoint_create: Any = getattr(transaction, "savepoint_create", None) or transaction.savepoint


class Stop(Exception):
    """Rolls back."""


@contextmanager
def undone() -> Iterator[None]:
    """A transaction, or a savepoint, that is rolled back."""
    try:
        with transaction.atomic():
            yield
            raise Stop
    except Stop:
        pass


def titles(sent: Sent) -> list[str]:
    return [told["title"] for told in data(sent())]


def test_after_the_commit(sent: Sent) -> None:
    """BI-14: the messages of a transaction are sent when it has ended, in order, each as its save was."""
    bind()
    sent()
    with transaction.atomic():
        book = Book.objects.create(title="a")
        book.title = "b"
        book.save()
        key = book.pk
        book.title = "never saved"
        assert sent() == []
        book.delete()
        Book.objects.create(title="c")
    told = sent()
    assert actions(told) == ["create", "update", "delete", "create"]
    assert [each["data"]["title"] for each in told] == ["a", "b", "never saved", "c"]
    assert [each["pk"] for each in told[:3]] == [key] * 3


@pytest.mark.parametrize("model", [Book, Paperback], ids=lambda model: model.__name__)
def test_rolled_back(sent: Sent, model: Any) -> None:
    """BI-14: nothing that was rolled back is told: creates, updates and deletes."""
    bind(model=model)
    kept = model.objects.create(title="kept")
    sent()
    with undone():
        model.objects.create(title="a")
        kept.title = "changed"
        kept.save()
        model.objects.all().delete()
    assert sent() == []
    assert list(model.objects.values_list("title", flat=True)) == ["kept"]


def test_savepoints(sent: Sent) -> None:
    """BI-14: with a savepoint that is rolled back goes what was told inside it, and no more."""
    bind()
    sent()
    with transaction.atomic():
        Book.objects.create(title="before")
        with transaction.atomic():
            Book.objects.create(title="inside")
            with undone():
                Book.objects.create(title="undone")
        with undone(), transaction.atomic():
            Book.objects.create(title="undone with what surrounds it")
        Book.objects.create(title="after")
        assert sent() == []
    assert titles(sent) == ["before", "inside", "after"]


def test_savepoints_by_hand(sent: Sent) -> None:
    """BI-14: ``savepoint_rollback`` takes what was told since its savepoint, from inside ``atomic`` blocks too."""
    bind()
    sent()
    with transaction.atomic():
        Book.objects.create(title="before")
        first = savepoint_create()
        Book.objects.create(title="undone")
        with transaction.atomic():
            Book.objects.create(title="undone in a block")
        second = savepoint_create()
        Book.objects.create(title="undone twice")
        transaction.savepoint_rollback(second)
        transaction.savepoint_commit(second)
        Book.objects.create(title="undone behind a rollback")
        transaction.savepoint_rollback(first)
        Book.objects.create(title="after")
        third = savepoint_create()
        Book.objects.create(title="kept")
        transaction.savepoint_commit(third)
        with undone():
            transaction.savepoint_commit(savepoint_create())
            Book.objects.create(title="undone with its block")
    told = titles(sent)
    assert told == ["before", "after", "kept"] == [book.title for book in Book.objects.order_by("pk")]


def test_savepoints_of_a_later_transaction(sent: Sent) -> None:
    """BI-14: savepoints are counted for the connection, and each transaction has its own."""
    bind()
    sent()
    for number in range(3):
        with transaction.atomic():
            Book.objects.create(title=f"kept {number}")
            savepoint = savepoint_create()
            Book.objects.create(title="undone")
            transaction.savepoint_rollback(savepoint)
    assert titles(sent) == ["kept 0", "kept 1", "kept 2"]


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_behind_a_callback_that_raises(sent: Sent, other: str, error: type[BaseException]) -> None:
    """BI-14: the callback of another library costs nobody the message about a row that is stored; nor the order."""
    bind(model=Code, fields=["name"])
    sent()
    ran = []

    def fails() -> None:
        ran.append(data(sent()))
        raise error

    for _ in range(2):
        with pytest.raises(error), transaction.atomic(using=other):  # noqa: PT012
            Code(code="x", name="a").save(using=other)
            transaction.on_commit(fails, using=other)
            Code(code="y", name="b").save(using=other)
            transaction.on_commit(lambda: ran.append("behind"), using=other)
            Code(code="z", name="c").save(using=other)
        assert data(sent()) == [{"name": "b"}, {"name": "c"}]
    assert ran == [[{"name": "a"}], [{"name": "a"}]]


def test_rolled_back_and_saved_again(sent: Sent) -> None:
    """BI-08: an instance whose creation was rolled back is created by its next save."""
    bind()
    sent()
    book = Book(title="a")
    with undone():
        book.save()
    book.save()
    assert actions(sent()) == ["create"]


def test_set_rollback(sent: Sent) -> None:
    """BI-14: ``ATOMIC_REQUESTS`` rolls back in this way too: the block ends without an exception."""
    bind()
    sent()
    with transaction.atomic():
        Book.objects.create(title="a")
        transaction.set_rollback(True)
    assert sent() == []


def test_atomic_requests(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """BI-14: a view under ``ATOMIC_REQUESTS`` tells when it has returned, and nothing when it raises."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    bind()
    sent()

    def view(request: HttpRequest, fails: bool) -> HttpResponse:
        Book.objects.create(title="fails" if fails else "returns")
        assert sent() == []
        if fails:
            raise Stop
        return HttpResponse()

    wrapped = BaseHandler().make_view_atomic(view)
    with pytest.raises(Stop):
        wrapped(HttpRequest(), fails=True)
    assert sent() == []
    wrapped(HttpRequest(), fails=False)
    assert titles(sent) == ["returns"]


def test_in_a_consumer(layer: ChannelLayerWrapper, sent: Sent) -> None:
    """BI-14: inside a consumer the commit comes first, then the consumer's end."""
    bind()
    sent()
    seen = []

    def consumer(message: Message) -> None:
        with transaction.atomic():
            Book.objects.create(title="a")
        with undone():
            Book.objects.create(title="undone")
        seen.append(sent())

    with apply_routes([route("x", consumer)]):
        WSClient().send_and_consume("x")
    assert seen == [[]]
    assert titles(sent) == ["a"]


def test_a_layer_that_fails(
    sent: Sent, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """BI-14: behind the commit an error of the layer is logged: the row is stored, other callbacks run."""
    groups = classmethod(lambda cls, instance: ["all", "broken", "others"])
    bind(group_names=groups)
    bind(model=Code, group_names=groups)
    sent()
    sent("others")
    send = Group.send

    def fails(self: Group, *args: Any, **kwargs: Any) -> None:
        if self.name == "broken":
            raise ConnectionError("away")
        send(self, *args, **kwargs)

    monkeypatch.setattr(Group, "send", fails)
    with caplog.at_level(logging.ERROR, "routechan"), transaction.atomic():
        Book.objects.create(title="a")
    assert "Bound, create: the change is committed, and the message to group 'broken' is lost" in caplog.text
    assert len(sent()) == len(sent("others")) == 1
    with pytest.raises(ConnectionError):
        Code(code="told at once").save(using=other)


# Other databases


@pytest.fixture
def other() -> Iterator[str]:
    """A second database, in memory, with a table of codes."""
    settings = {**connections.databases["default"], "NAME": ":memory:"}
    connections.databases["other"] = connections.configure_settings({"default": {}, "other": settings})["other"]
    with connections["other"].schema_editor() as editor:
        editor.create_model(Code)
    yield "other"
    connections["other"].connection.close()
    del connections["other"], connections.databases["other"]


def test_each_database_commits_for_itself(sent: Sent, other: str) -> None:
    """BI-14: a save waits for the transaction of its own database, which the signal names; so does its stored row."""

    class ByName(ToAll):
        model = Code
        fields = ("name",)

        @classmethod
        def group_names(cls, instance: Any) -> list[str]:
            return ["all", instance.name]

    sent()
    with transaction.atomic():
        code = Code(code="x", name="a")
        code.save(using=other)
        assert data(sent()) == [{"name": "a"}]
        Code.objects.create(code="y", name="b")
        assert sent() == []
    assert data(sent()) == [{"name": "b"}]
    with transaction.atomic(using=other):
        sent("a")
        code.name = "c"
        code.save()
        code.delete()
        assert sent() == []
    assert actions(sent()) == ["update", "delete"]
    assert actions(sent("a")) == ["delete"]


def test_transactions_by_hand(sent: Sent, other: str) -> None:
    """BI-14: where autocommit is off nothing says when to tell, so it is told at once."""
    bind(model=Code, fields=["name"])
    sent()
    transaction.set_autocommit(False, using=other)
    Code(code="x", name="a").save(using=other)
    assert data(sent()) == [{"name": "a"}]
    transaction.rollback(using=other)
