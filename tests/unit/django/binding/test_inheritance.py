"""Bindings of models that share a table, or inherit from a model with a table of its own."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import serializers
from django.db import IntegrityError, connection
from django.db.models import F, Value
from django.db.models.functions import Upper
from django.db.models.signals import m2m_changed
from django.test.utils import CaptureQueriesContext

from tests.unit.django.helpers import connected

from .helpers import ByTeam, Sent, ToAll, actions, bind, data
from .models import Bestseller, Book, Paperback, Pocketbook, Pocketseller, Shelf, Tag
from .test_commit import undone


class Open(ToAll):
    model = None

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        return True


def told(sent: Sent, group: str = "all") -> list[tuple[str, str, Any]]:
    return [(payload["model"], payload["action"], payload["pk"]) for payload in sent(group)]


# Out


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("__all__", {"title", "team", "secret", "shelf", "tags", "added", "weight", "size", "shops"}),
        (["title", "weight", "size", "shelf_id"], {"title", "weight", "size", "shelf"}),
    ],
)
@pytest.mark.parametrize("model", [Pocketbook, Pocketseller])
def test_inherited_fields_go_out(sent: Sent, model: Any, fields: Any, expected: set[str]) -> None:
    """BI-18: the fields of all parents are the child's, also many-to-many, and also through a proxy."""
    bind(model=model, fields=fields)
    sent()
    made = model.objects.create(title="p", weight=3, size="s", shelf=Shelf.objects.create(label="s"))
    made.tags.add(tag := Tag.objects.create(word="t"))
    made.shops.add(made.shelf)
    made.save()
    last = sent()[-1]
    assert set(last["data"]) == expected
    assert {"title": "p", "weight": 3, "size": "s", "shelf": made.shelf_id}.items() <= last["data"].items()
    if fields == "__all__":
        assert (last["data"]["tags"], last["data"]["shops"]) == ([tag.pk], [made.shelf_id])


def test_excluded_inherited_fields_stay(sent: Sent) -> None:
    """BI-18: ``exclude`` goes for inherited fields too."""
    bind(model=Paperback, fields=None, exclude=["secret", "tags", "added", "shelf"])
    sent()
    Paperback.objects.create(title="p", weight=3)
    assert data(sent()) == [{"title": "p", "team": "red", "weight": 3}]


@pytest.mark.parametrize("fields", ["__all__", ["title"]])
def test_through_a_proxy(sent: Sent, fields: Any) -> None:
    """BI-04: what is done through a proxy is told by the binding of its model, in the name of that."""
    bind(fields=fields)
    sent()
    made = Bestseller.objects.create(title="b")
    key = made.pk
    made.title = "c"
    made.save()
    made.delete()
    assert told(sent) == [("binding.book", action, key) for action in ("create", "update", "delete")]


def test_through_a_child(sent: Sent) -> None:
    """BI-04: the row of a parent is told of as itself, with its own fields, once for each change."""
    bind(fields="__all__")
    sent()
    made = Pocketbook.objects.create(title="p", size="s")
    key = made.pk
    made.title = "q"
    made.save()
    made.delete()
    payloads = sent()
    assert [(each["model"], each["action"], each["pk"], each["data"]["title"]) for each in payloads] == [
        ("binding.book", "create", key, "p"),
        ("binding.book", "update", key, "q"),
        ("binding.book", "delete", key, "q"),
    ]
    assert set(payloads[0]["data"]) == {"title", "team", "secret", "shelf", "tags", "added"}


def test_parent_and_child_each_tell(sent: Sent) -> None:
    """BI-07: bindings of both hear of one save."""
    bind(fields=["title"])
    bind(model=Paperback, fields=["weight"])
    sent()
    made = Paperback.objects.create(title="p")
    assert sorted(told(sent)) == [("binding.book", "create", made.pk), ("binding.paperback", "create", made.pk)]


def test_a_parent_does_not_know_its_child(sent: Sent) -> None:
    """BI-04: what is saved through the parent is told by the parent's binding, at no query for children."""
    bind(model=Paperback, group_names=classmethod(lambda cls, instance: ["children"]))
    paper = Paperback.objects.create(title="a")
    bind()
    sent("children")
    sent()
    book = Book.objects.get(pk=paper.pk)
    with CaptureQueriesContext(connection) as queries:
        book.save()
    assert len(queries) == 1
    assert (actions(sent()), sent("children")) == (["update"], [])


def test_a_child_of_a_row_that_is_there(sent: Sent) -> None:
    """BI-08: the child's row is created, its parent's is updated, whichever of both keys is given."""
    bind()
    bind(model=Paperback, fields=["weight"])
    one, other = Book.objects.create(title="a"), Book.objects.create(title="b")
    sent()
    for book, key in ((one, {"book_ptr": one}), (other, {"id": other.pk})):
        Paperback(title="c", added=book.added, **key).save()
        assert set(told(sent)) == {("binding.book", "update", book.pk), ("binding.paperback", "create", book.pk)}


def test_a_child_saved_again_after_a_rollback(sent: Sent) -> None:
    """BI-08: the instance no longer says that it is new; its parent's row is created with it all the same."""
    bind(fields=["title"])
    bind(model=Paperback, fields=["weight"])
    made = Paperback(title="p")
    with undone():
        made.save()
    sent()
    made.save()
    assert sorted(told(sent)) == [("binding.book", "create", made.pk), ("binding.paperback", "create", made.pk)]


def test_a_new_child_of_an_old_row(sent: Sent) -> None:
    """BI-08: the parent's own readers see an update, of the row as it was."""
    bind(ByTeam, fields=["title"])
    book = Book.objects.create(title="a", team="red")
    for group in ("red", "blue"):
        sent(group)
    Paperback(book_ptr=book, added=book.added, title="c", team="blue").save()
    assert (actions(sent("red")), actions(sent("blue"))) == (["delete"], ["create"])


def test_saves_that_leave_the_parent_alone(sent: Sent) -> None:
    """BI-04: ``update_fields`` of the child's own table, and fixtures, which hold each table's row apart."""
    made = Paperback.objects.create(title="p")
    bind()
    sent()
    made.save(update_fields=["weight"])
    row = {"model": "binding.paperback", "pk": made.pk, "fields": {"weight": 4}}
    [loaded] = serializers.deserialize("python", [row])
    loaded.save()
    assert sent() == []
    made.save(update_fields=["weight", "title"])
    assert actions(sent()) == ["update"]


def test_deleted_with_its_parent_or_alone(sent: Sent) -> None:
    """BI-12: a child goes with its parent; ``keep_parents`` leaves that."""
    bind()
    bind(model=Paperback, fields=["weight"])
    one, other = Paperback.objects.create(title="p"), Paperback.objects.create(title="q")
    keys = one.pk, other.pk
    sent()
    Book.objects.get(pk=one.pk).delete()
    assert sorted(told(sent)) == [("binding.book", "delete", keys[0]), ("binding.paperback", "delete", keys[0])]
    other.delete(keep_parents=True)
    assert told(sent) == [("binding.paperback", "delete", keys[1])]


def test_a_create_costs_no_query_for_its_parents() -> None:
    """OB-15: a new child has no stored rows to look for."""

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            Pocketbook.objects.create(title="p")
        return len(captured)

    without = queries()
    bind(ByTeam)
    assert queries() == without


def test_deferred_fields(sent: Sent) -> None:
    """BI-18: an instance that was read in part is told in whole."""
    bind(model=Paperback, fields=["title", "weight"])
    made = Paperback.objects.create(title="p", weight=3)
    sent()
    part = Paperback.objects.only("weight").get(pk=made.pk)
    part.weight = 4
    part.save()
    assert data(sent()) == [{"title": "p", "weight": 4}]


def test_expressions(sent: Sent) -> None:
    """BI-18: what the database computes in a save is told as its value, of a parent's fields too."""
    bind(model=Paperback, fields=["title", "weight"])
    made = Paperback.objects.create(title="p", weight=3)
    sent()
    made.weight, made.title = F("weight") + 1, Upper(Value("q"))
    made.save()
    assert data(sent()) == [{"title": "Q", "weight": 4}]


# In


@pytest.mark.parametrize("model", [Paperback, Pocketbook, Pocketseller])
def test_create_update_delete(sent: Sent, model: Any) -> None:
    """BI-26, BI-27, BI-29: clients make, change and delete children, with inherited fields, and all are told."""
    binding = bind(Open, model=model, fields=["title", "weight", "tags"])
    sent()
    tag = Tag.objects.create(word="t")
    binding().create({"title": "p", "weight": "3", "secret": "mine", "tags": [tag.pk]})
    made = model.objects.get()
    assert (made.title, made.weight, made.secret, list(made.tags.all())) == ("p", 3, "", [tag])
    assert made.added
    binding().update(str(made.pk), {"title": "q", "weight": 4})
    made.refresh_from_db()
    assert (made.title, made.weight) == ("q", 4)
    binding().delete(made.pk)
    assert not Book.objects.exists()
    assert actions(sent()) == ["create", "update", "delete"]


@pytest.mark.parametrize("key", ["id", "book_ptr", "book_ptr_id"])
def test_create_never_replaces(key: str) -> None:
    """OB-13: a key among the data adopts or changes no row, neither of the child nor of its parent."""
    book, paper = Book.objects.create(title="a"), Paperback.objects.create(title="b")
    binding = bind(Open, model=Paperback, fields=["title", "weight", "id", "book_ptr"])
    for there in (book, paper):
        with pytest.raises(IntegrityError, match=f"may not replace the binding.Book with the key {there.pk}"):
            binding().create({key: there.pk, "title": "evil"})
    assert set(Book.objects.values_list("title", flat=True)) == {"a", "b"}
    assert Paperback.objects.count() == 1


def test_create_is_whole_or_nothing(sent: Sent) -> None:
    """BI-26: where a relation cannot be stored, neither is the row, and nobody is told."""
    binding = bind(Open, fields=["title", "tags"])
    tag = Tag.objects.create(word="t")
    sent()

    def refused(sender: Any, **kwargs: Any) -> None:
        raise IntegrityError("unknown tag")

    with connected(refused, m2m_changed), pytest.raises(IntegrityError, match="unknown tag"):
        binding().create({"title": "a", "tags": [tag.pk]})
    assert not Book.objects.exists()
    assert sent() == []
