"""Changes of models go out to groups."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core import serializers
from django.db import connection
from django.test.utils import CaptureQueriesContext

from routechan import Message, route
from routechan_django.binding.websockets import WebsocketBindingWithMembers
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import WSClient, apply_routes

from .helpers import ByTeam, Sent, ToAll, actions, bind, data
from .models import Book, Code, Shelf, Tag, Ticket


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


@pytest.mark.parametrize(
    ("fields", "exclude", "expected"),
    [
        (None, ["secret", "tags", "added"], {"title": "a", "team": "red", "shelf": None}),
        ("__all__", ["secret", "tags", "added", "shelf_id"], {"title": "a", "team": "red"}),
        ("title", None, {"title": "a"}),
    ],
    ids=["all but these", "excluded stays excluded, whatever fields says", "a string is one name, not its letters"],
)
def test_which_fields_are_sent(sent: Sent, fields: Any, exclude: Any, expected: dict[str, Any]) -> None:
    """BI-18: ``fields`` and ``exclude``."""
    bind(fields=fields, exclude=exclude)
    sent()
    Book.objects.create(title="a")
    assert data(sent()) == [expected]


def test_what_tells_nothing(sent: Sent) -> None:
    """BI-15: queries that make no instances."""
    bind()
    book = Book.objects.create(title="a")
    sent()
    Book.objects.filter(pk=book.pk).update(title="b")
    Book.objects.bulk_create([Book(title="c")])
    assert sent() == []


def load(model: str, pk: Any, **fields: Any) -> None:
    """Save as ``loaddata`` does."""
    [loaded] = serializers.deserialize("python", [{"model": model, "pk": pk, "fields": fields}])
    loaded.save()


def test_fixtures_tell(sent: Sent) -> None:
    """BI-15: a raw save is a save, of a new row or of one that is there."""
    bind()
    sent()
    for title in ("e", "f"):
        load("binding.book", 7, title=title, added="2017-09-15T00:00Z")
    assert [(told["action"], told["pk"], told["data"]["title"]) for told in sent()] == [
        ("create", 7, "e"),
        ("update", 7, "f"),
    ]


class ByName(ToAll):
    model = None

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        return ["all", instance.name]


@pytest.mark.parametrize("base", [ToAll, ByName], ids=lambda base: base.__name__)
def test_a_key_that_is_there(sent: Sent, base: Any) -> None:
    """BI-08: a new instance saved under an existing key is an update, for those who saw the row before."""
    bind(base, model=Code, fields=["name"])
    for group in ("all", "a", "b"):
        sent(group)
    Code(code="x", name="a").save()
    Code(code="x", name="b").save()
    load("binding.code", "x", name="b")
    Code(code="y", name="b").save()
    assert actions(sent()) == ["create", "update", "update", "create"]
    if base is ByName:
        assert actions(sent("a")) == ["create", "delete"]
        assert actions(sent("b")) == ["create", "update", "create"]


def test_a_row_that_came_back(sent: Sent) -> None:
    """BI-08: an instance whose row was deleted elsewhere is created by its save, whatever the groups are."""
    bind()
    book = Book.objects.create(title="a")
    Book.objects.filter(pk=book.pk).delete()
    sent()
    book.save()
    assert actions(sent()) == ["create"]


@pytest.mark.parametrize(("model", "values"), [(Book, {"title": "a"}), (Ticket, {"text": "a"})])
def test_queries_of_a_create(model: Any, values: Any) -> None:
    """OB-15: where Django makes the key there is no stored row to look for."""

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            model.objects.create(**values)
        return len(captured)

    without = queries()
    bind(model=model, fields=[], group_names=classmethod(lambda cls, instance: [str(instance.pk)]))
    assert queries() == without


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
        assert data(sent()) == [{"label": "a"}]
    finally:
        asyncio.run(sync_to_async(Shelf.objects.all().delete)())


# Who can see it


@pytest.fixture
def book(sent: Sent) -> Book:
    """A book that the red team sees, bound by team; the members of the groups have read what was sent so far."""
    bind(ByTeam, fields=["title", "team"])
    made = Book.objects.create(title="old", team="red")
    for group in ("all", "red", "blue"):
        sent(group)
    return made


def test_losing_and_gaining_sight(sent: Sent, book: Book) -> None:
    """OB-15, BI-09, BI-11: a change is compared with the stored row; a delete holds what its readers saw before."""
    book.title, book.team = "new", "blue"
    book.save()
    new = {"title": "new", "team": "blue"}
    for group, action, told in (
        ("all", "update", new),
        ("red", "delete", {"title": "old", "team": "red"}),
        ("blue", "create", new),
    ):
        [payload] = sent(group)
        assert (payload["action"], payload["pk"], payload["data"]) == (action, book.pk, told)


def test_update_fields(sent: Sent, book: Book) -> None:
    """OB-15: what was changed in memory but not saved shows the instance to nobody."""
    book.title, book.team = "b", "blue"
    book.save(update_fields=["title"])
    assert sent("blue") == []
    assert actions(sent("red")) == ["update"]


def test_saved_as_a_new_row(sent: Sent, book: Book) -> None:
    """BI-08, BI-09: an instance saved after its row was deleted, and a copy whose key was taken away, are creates."""
    Book.objects.filter(pk=book.pk).delete()
    sent()
    book.save()
    book.pk = None
    book.save()
    assert actions(sent()) == ["create", "create"]


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


def test_nothing_is_kept_on_the_instance(book: Book) -> None:
    """BI-08: what was kept from before a change is gone after it."""
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
    [told] = data(sent())
    assert isinstance(told.pop("added"), str)
    assert told == {"title": "abc", "loud": "ABC", "length": 3, "shelf__label": "s"}
