"""Changes of models go out to groups."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core import serializers
from django.db import connection
from django.test.utils import CaptureQueriesContext

from routechan import Group, Message, route
from routechan_django.binding.websockets import WebsocketBinding, WebsocketBindingWithMembers
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import WSClient, apply_routes

from .models import Bestseller, Book, Paperback, Shelf, Tag, Ticket

Sent = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def sent(layer: ChannelLayerWrapper) -> Sent:
    """``sent("group")``: the payloads that a member of the group has got; it becomes one on the first call."""

    def payloads(group: str = "all") -> list[dict[str, Any]]:
        member = f"member.of.{group}"
        Group(group).add(member)
        found = []
        while (content := layer.receive([member])[1]) is not None:
            decoded = json.loads(content["text"])
            assert list(decoded) == ["stream", "payload"]
            found.append(decoded["payload"])
        return found

    return payloads


class ToAll(WebsocketBinding):
    model = None
    stream = "books"

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        return ["all"]


def bind(base: Any = ToAll, **body: Any) -> Any:
    """A binding, of books unless told otherwise, that lasts as long as the test."""
    return type("Bound", (base,), {"model": Book, "fields": ["title"], **body})


class ByTeam(ToAll):
    model = None

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        return ["all", instance.team]


def test_create(sent: Sent) -> None:
    """BI-12, BI-17: one message for each member: action, pk, the fields, the model."""
    bind(model=User, fields=["email", "username"])
    assert sent() == []
    user = User.objects.create(username="anna", email="anna@example.com")
    assert sent() == [
        {
            "action": "create",
            "pk": user.pk,
            "data": {"email": "anna@example.com", "username": "anna"},
            "model": "auth.user",
        }
    ]


def test_update(sent: Sent) -> None:
    """BI-12, BI-18: an update tells all the fields."""
    bind(model=Shelf, fields=["__all__"])
    shelf = Shelf.objects.create(label="a")
    sent()
    shelf.label = "b"
    shelf.save()
    assert sent() == [{"action": "update", "pk": shelf.pk, "data": {"label": "b"}, "model": "binding.shelf"}]


def test_delete(sent: Sent) -> None:
    """BI-12, BI-15: a delete tells the data and the old key, of each row that a query deletes."""
    bind()
    books = [Book.objects.create(title=title) for title in "ab"]
    sent()
    Book.objects.all().delete()
    told = sorted(sent(), key=lambda payload: payload["pk"])
    assert [(payload["action"], payload["pk"], payload["data"]) for payload in told] == [
        ("delete", books[0].pk, {"title": "a"}),
        ("delete", books[1].pk, {"title": "b"}),
    ]


def test_uuid_key(sent: Sent) -> None:
    """BI-08, BI-19: a key with a default is a create, and travels as a string."""
    bind(model=Ticket, fields="__all__")
    sent()
    ticket = Ticket.objects.create(text="x")
    assert sent() == [{"action": "create", "pk": str(ticket.pk), "data": {"text": "x"}, "model": "binding.ticket"}]


@pytest.mark.parametrize("fields", ["__all__", ["__all__"], ("__all__",)])
def test_all_fields(sent: Sent, fields: Any) -> None:
    """BI-18, OB-14: ``__all__``, as a string or in a list; many-to-many fields are lists of keys."""
    bind(fields=fields)
    book = Book.objects.create(title="a", shelf=Shelf.objects.create(label="s"))
    tag = Tag.objects.create(word="t")
    book.tags.add(tag)  # BI-15: tells nothing by itself
    assert sent() == []
    book.save()
    [payload] = sent()
    assert set(payload["data"]) == {"title", "team", "secret", "shelf", "tags", "added"}
    assert (payload["data"]["tags"], payload["data"]["shelf"]) == ([tag.pk], book.shelf_id)


def test_exclude(sent: Sent) -> None:
    """BI-18: all fields but these."""
    bind(fields=None, exclude=["secret", "tags", "added"])
    sent()
    Book.objects.create(title="a")
    assert sent()[0]["data"] == {"title": "a", "team": "red", "shelf": None}


def test_exclude_beside_fields(sent: Sent) -> None:
    """BI-18: what is excluded stays in, whatever ``fields`` says."""
    bind(fields="__all__", exclude=["secret", "tags", "added", "shelf_id"])
    sent()
    Book.objects.create(title="a")
    assert sent()[0]["data"] == {"title": "a", "team": "red"}


def test_one_field_as_a_string(sent: Sent) -> None:
    """BI-18: a string is the name of one field, and its letters are none."""
    bind(fields="title")
    sent()
    Book.objects.create(title="a")
    assert sent()[0]["data"] == {"title": "a"}


def test_children_and_proxies(sent: Sent) -> None:
    """BI-18: a proxy has its model's fields; of a child's, Django's serializer knows those of its own table."""
    bind(model=Bestseller)
    bind(model=Paperback, fields=["title", "weight"])
    sent()
    Bestseller.objects.create(title="b")
    Paperback.objects.create(title="p", weight=3)
    assert [(payload["model"], payload["data"]) for payload in sent()] == [
        ("binding.bestseller", {"title": "b"}),
        ("binding.paperback", {"weight": 3}),
    ]


def test_what_tells_nothing(sent: Sent) -> None:
    """BI-15: queries that make no instances."""
    bind()
    book = Book.objects.create(title="a")
    sent()
    Book.objects.filter(pk=book.pk).update(title="b")
    Book.objects.bulk_create([Book(title="c")])
    assert sent() == []


def test_fixtures_tell(sent: Sent) -> None:
    """BI-15: a raw save is a save."""
    bind()
    sent()
    [loaded] = serializers.deserialize(
        "python", [{"model": "binding.book", "pk": 7, "fields": {"title": "f", "added": "2017-09-15T00:00Z"}}]
    )
    loaded.save()
    assert [(payload["action"], payload["pk"]) for payload in sent()] == [("create", 7)]


def test_in_a_consumer(layer: ChannelLayerWrapper, sent: Sent) -> None:
    """BI-14: inside a consumer the messages wait for its end, like all it sends."""
    bind()
    sent()
    seen = []

    def consumer(message: Message) -> None:
        Book.objects.create(title="a")
        seen.append(sent())

    with apply_routes([route("x", consumer)]):
        WSClient().send_and_consume("x")
    assert seen == [[]]
    assert len(sent()) == 1


def test_asave(sent: Sent) -> None:
    """BI-14: a save in async code tells too."""
    bind(model=Shelf, fields=["label"])
    sent()

    async def save() -> None:
        await Shelf(label="a").asave()

    try:
        asyncio.run(save())
        assert [payload["data"] for payload in sent()] == [{"label": "a"}]
    finally:
        asyncio.run(sync_to_async(Shelf.objects.all().delete)())


# Who can see it


def test_losing_and_gaining_sight(sent: Sent) -> None:
    """OB-15, BI-09, BI-11: the stored row is what a change is compared with: a delete, an update, a create."""
    bind(ByTeam)
    book = Book.objects.create(title="a", team="red")
    for group in ("all", "red", "blue"):
        sent(group)
    book.title, book.team = "b", "blue"
    book.save()
    assert [(payload["action"], payload["data"]["title"]) for payload in sent("all")] == [("update", "b")]
    assert [(payload["action"], payload["pk"]) for payload in sent("red")] == [("delete", book.pk)]
    assert [(payload["action"], payload["data"]["title"]) for payload in sent("blue")] == [("create", "b")]


def test_who_loses_sight_is_not_told_what_is_new(sent: Sent) -> None:
    """OB-15: the delete holds what its readers could see before."""
    bind(ByTeam, fields=["title", "team"])
    book = Book.objects.create(title="old", team="red")
    sent("red")
    book.title, book.team = "new", "blue"
    book.save()
    assert [payload["data"] for payload in sent("red")] == [{"title": "old", "team": "red"}]


def test_update_fields(sent: Sent) -> None:
    """OB-15: what was changed in memory but not saved shows the instance to nobody."""
    bind(ByTeam)
    book = Book.objects.create(title="a", team="red")
    for group in ("red", "blue"):
        sent(group)
    book.title, book.team = "b", "blue"
    book.save(update_fields=["title"])
    assert sent("blue") == []
    assert [payload["action"] for payload in sent("red")] == ["update"]


def test_a_row_that_is_gone(sent: Sent) -> None:
    """BI-09: an instance saved after its row was deleted is a create to all."""
    bind(ByTeam)
    book = Book.objects.create(title="a")
    Book.objects.filter(pk=book.pk).delete()
    sent()
    book.save()
    assert [payload["action"] for payload in sent()] == ["create"]


def test_a_copy_is_a_create(sent: Sent) -> None:
    """BI-08: an instance whose key was taken away is saved as a new one."""
    bind(ByTeam)
    book = Book.objects.create(title="a")
    sent()
    book.pk = None
    book.save()
    assert [payload["action"] for payload in sent()] == ["create"]


@pytest.mark.parametrize(("base", "more"), [(ToAll, 0), (ByTeam, 1)])
def test_queries(base: Any, more: int) -> None:
    """OB-15: the stored row costs one query, and only where the rule looks at the instance."""
    book = Book.objects.create(title="a")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            book.save()
        return len(captured)

    without = queries()
    bind(base)
    assert queries() - without == more


def test_nothing_is_kept_on_the_instance() -> None:
    """BI-08: what was kept from before a change is gone after it."""
    bind(ByTeam)
    book = Book.objects.create(title="a")
    book.save()
    book.delete()
    assert book.__dict__["_binding_group_names"] == book.__dict__["_binding_stored_rows"] == {}


# What is sent


def test_nothing_to_tell(sent: Sent) -> None:
    """BI-13: an empty serialization is not sent; without groups nothing is serialized."""
    calls: list[str] = []

    def serialize(self: Any, instance: Any, action: str) -> dict[str, Any]:
        calls.append(action)
        return {}

    bind(serialize=serialize)
    bind(serialize=serialize, group_names=classmethod(lambda cls, instance: []))
    sent()
    Book.objects.create(title="a")
    assert sent() == []
    assert calls == ["create"]


def test_signal_kwargs(sent: Sent) -> None:
    """BI-13: a serializer may ask what the signal said."""
    seen = []

    def serialize(self: Any, instance: Any, action: str) -> dict[str, Any]:
        assert self.instance is instance
        seen.append(set(self.signal_kwargs))
        return {}

    bind(serialize=serialize)
    Book.objects.create(title="a").delete()
    assert seen[0] == {"raw", "sender", "signal", "update_fields", "using"}
    assert seen[1] - {"origin"} == {"sender", "signal", "using"}


def test_no_stream() -> None:
    """BI-13: a binding without a stream is told at the first message, in the caller of ``save``."""
    bind(stream=None)
    with pytest.raises(ValueError, match="Bound has no stream: write stream = 'name'"):
        Book.objects.create(title="a")


def test_members(sent: Sent) -> None:
    """BI-31: attributes, properties and methods, through related objects too; as Django's encoder writes them."""
    bind(
        type("WithMembers", (WebsocketBindingWithMembers,), {"model": None, "stream": "s"}),
        send_members=["loud", "length", "shelf.label", "added"],
        group_names=classmethod(lambda cls, instance: ["all"]),
    )
    sent()
    Book.objects.create(title="abc", shelf=Shelf.objects.create(label="s"))
    data = sent()[0]["data"]
    assert isinstance(data.pop("added"), str)
    assert data == {"title": "abc", "loud": "ABC", "length": 3, "shelf__label": "s"}
