"""What clients ask for is done to models."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db import IntegrityError, transaction
from django.db.models.signals import post_save

from routechan import Message, route, route_class
from routechan_django.binding.websockets import WebsocketBinding
from routechan_django.generic.websockets import WebsocketDemultiplexer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import session_for_reply_channel
from routechan_django.test import WSClient, apply_routes
from tests.unit.django.helpers import connected, message

from .models import Book, Paperback, Shelf, Tag, Ticket

Clients = Callable[..., WSClient]


@pytest.fixture
def client_of(layer: ChannelLayerWrapper) -> Iterator[Callable[..., WSClient]]:
    """``client_of(binding)``: a client of a demultiplexer with the binding under ``s``."""
    with ExitStack() as stack:

        def make(binding: Any, **options: Any) -> WSClient:
            class Demultiplexer(WebsocketDemultiplexer):
                consumers: ClassVar = {"s": binding.consumer}
                groups = ("inbound",)

            stack.enter_context(apply_routes([route_class(Demultiplexer, path="^/(?P<room>.*)$")]))
            return WSClient(**options)

        yield make


class Permitting(WebsocketBinding):
    model = None
    stream = "s"

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        return []

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        return True


def bind(**body: Any) -> Any:
    return type("Bound", (Permitting,), {"model": Book, "fields": ["title"], **body})


def ask(client: WSClient, action: str, pk: Any = None, data: Any = None) -> Any:
    return client.send_and_consume(
        "websocket.receive", text={"stream": "s", "payload": {"action": action, "pk": pk, "data": data}}
    )


# Over a demultiplexer


def test_create(client_of: Clients) -> None:
    """BI-25, BI-30: a create makes an instance, and answers nothing by itself."""
    client = client_of(bind(model=User, fields=["email", "username"]))
    ask(client, "create", data={"email": "anna@example.com", "username": "anna"})
    assert User.objects.get(username="anna").email == "anna@example.com"
    assert client.receive() is None


def test_update(client_of: Clients) -> None:
    """BI-27, BI-30: listed fields change, others are passed over; the model's own ``save`` runs."""
    book = Book.objects.create(title="a", secret="s")
    client = client_of(bind())
    Book.saves.clear()
    ask(client, "update", book.pk, {"title": "b", "secret": "told", "nonsense": 1})
    book.refresh_from_db()
    assert (book.title, book.secret) == ("b", "s")
    assert Book.saves == ["b"]
    assert client.receive() is None


def test_delete(client_of: Clients) -> None:
    """BI-29, BI-30: the row is deleted; where there is none, that is no error."""
    book = Book.objects.create(title="a")
    client = client_of(bind())
    ask(client, "delete", book.pk)
    assert not Book.objects.exists()
    ask(client, "delete", book.pk)
    assert client.receive() is None


def test_keys_as_text(client_of: Clients) -> None:
    """UE-08: browsers send keys and values as text."""
    paper = Paperback.objects.create(title="a", weight=1)
    ask(client_of(bind(model=Paperback, fields=["weight"])), "update", str(paper.pk), {"weight": "42"})
    paper.refresh_from_db()
    assert paper.weight == 42


def test_connecting_asks_for_nothing(client_of: Clients) -> None:
    """BI-22: connect and disconnect are passed over; nothing is stored for them."""
    client = client_of(bind())
    client.send_and_consume("websocket.connect")
    assert not session_for_reply_channel(client.reply_channel).found
    client.send_and_consume("websocket.disconnect")
    assert client.receive() is None


def test_own_changes_come_back(client_of: Clients) -> None:
    """BI-30: who is in the group hears of their own change, as everybody does."""
    client = client_of(bind(group_names=classmethod(lambda cls, instance: ["inbound"])))
    client.send_and_consume("websocket.connect")
    ask(client, "create", data={"title": "a"})
    reply = client.receive()
    assert (reply["stream"], reply["payload"]["action"], reply["payload"]["data"]) == ("s", "create", {"title": "a"})


# As a consumer of its own


def test_as_a_route(layer: ChannelLayerWrapper) -> None:
    """BI-20, BI-24: a binding's consumer can be routed; it takes payloads, and returns nothing."""
    binding = bind()
    with apply_routes([route("websocket.receive", binding.consumer)]):
        client = WSClient()
        assert client.send_and_consume("websocket.receive", text={"action": "create", "data": {"title": "a"}}) is None
    assert Book.objects.get().title == "a"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("{}", KeyError, "action"),
        ("[1]", ValueError, r"a binding takes .*, not \[1\]"),
        ('{"action": "explode"}', ValueError, "'explode' is no action; there are 'create', 'update' and 'delete'"),
        ('{"action": "create"}', ValueError, "data is a JSON object of field values, not None"),
        ('{"action": "update", "pk": 1, "data": {}}', ObjectDoesNotExist, "Book matching query does not exist"),
    ],
)
def test_what_cannot_be_done(text: str, error: type[Exception], said: str) -> None:
    """BI-24, BI-25, BI-27: it is an error of the consumer, with what came."""
    with pytest.raises(error, match=said):
        bind().consumer(message(text=text))


def test_handling(layer: ChannelLayerWrapper) -> None:
    """BI-23, BI-25: message, named groups, action, key, data and user are on the binding."""
    seen: list[Any] = []

    def run_action(self: Any, *arguments: Any) -> None:
        seen.append((self.kwargs, self.action, self.pk, self.data, self.user, self.message, arguments))

    given: Any = message(text='{"action": "update", "pk": 3, "data": {"title": "x"}}')
    bind(run_action=run_action).consumer(given, room="a")
    arguments = ("update", 3, {"title": "x"})
    assert seen == [({"room": "a"}, *arguments, given.user, given, arguments)]
    assert given.user.is_anonymous


def test_without_a_user() -> None:
    """BI-21, BI-23: without sessions the user is anonymous, and no reply channel is needed; a session may be alone."""
    seen: list[Any] = []
    permission = {"has_permission": lambda self, user, action, pk: seen.append((user, pk))}
    given = Message({"text": '{"action": "create", "pk": 3}'}, "websocket.receive", None)
    bind(channel_session_user=False, **permission).consumer(given)
    with_session = message(text='{"action": "delete", "pk": 4}')
    bind(channel_session_user=False, channel_session=True, **permission).consumer(with_session)
    assert seen == [(AnonymousUser(), None), (AnonymousUser(), 4)]
    assert not hasattr(given, "channel_session")
    assert hasattr(with_session, "channel_session")
    assert not hasattr(with_session, "user")


@pytest.mark.parametrize("action", ["create", "update", "delete", "explode"])
def test_no_permission(action: str) -> None:
    """BI-25: without permission nothing happens, and nothing is said."""
    book = Book.objects.create(title="a")
    text = f'{{"action": "{action}", "pk": {book.pk}, "data": {{"title": "b"}}}}'
    bind(has_permission=lambda self, user, action, pk: False).consumer(message(text=text))
    assert [found.title for found in Book.objects.all()] == ["a"]


def test_strict_ordering(layer: ChannelLayerWrapper) -> None:
    """BI-21: a frame that comes early waits; slight ordering is refused."""
    binding = bind(strict_ordering=True)
    given = message(text='{"action": "create", "data": {"title": "a"}}', order=1, layer=layer)
    binding.consumer(given)
    assert not Book.objects.exists()
    with pytest.raises(ValueError, match="sets slight_ordering.*set strict_ordering = True"):
        bind(slight_ordering=True).consumer(given)


# What clients may set


def create(binding: Any, **data: Any) -> Any:
    binding().create(data)
    return binding.model.objects.latest("pk")


@pytest.mark.parametrize(("fields", "exclude"), [(["title"], None), (None, ["secret", "shelf", "team"])])
def test_create_sets_open_fields_only(fields: Any, exclude: Any) -> None:
    """OB-13, BI-26: a field that may not be set keeps its default, also by the name of its column."""
    closed = {"secret": "mine", "team": "blue", "shelf_id": Shelf.objects.create(label="s").pk}
    unknown = {"nonsense": 1} if fields else {}
    made = create(bind(fields=fields, exclude=exclude), title="a", **closed, **unknown)
    assert (made.title, made.secret, made.team, made.shelf_id) == ("a", "", "red", None)


def test_create_never_replaces() -> None:
    """OB-13: a key among the data does not make a create an update of another row; nor does a natural key."""
    book = Book.objects.create(title="a")
    with pytest.raises(IntegrityError), transaction.atomic():
        create(bind(fields="__all__"), id=book.pk, title="b", team="", secret="", tags=[])
    user = User.objects.create(username="anna", email="anna@example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        create(bind(model=User, fields=["username", "email"]), username="anna", email="evil@example.com")
    user.refresh_from_db()
    assert user.email == "anna@example.com"


def test_create_is_raw() -> None:
    """BI-26, PL-18: the model's own ``save`` is not called, and the signals say raw; dates are filled in."""
    raw = []

    def saved(sender: Any, **kwargs: Any) -> None:
        raw.append(kwargs["raw"])

    Book.saves.clear()
    with connected(saved, post_save):
        made = create(bind(), title="a")
    assert (raw, Book.saves) == ([True], [])
    assert isinstance(made.added, datetime.datetime)


def test_create_with_relations() -> None:
    """BI-26, BI-27: foreign keys and many-to-many are given by key; a key with a default is made."""
    shelf, tag = Shelf.objects.create(label="s"), Tag.objects.create(word="t")
    made = create(bind(fields=["title", "shelf", "tags"]), title="a", shelf=shelf.pk, tags=[tag.pk])
    assert (made.shelf, list(made.tags.all())) == (shelf, [tag])
    bind(model=Ticket, fields=["text"])().create({"text": "x"})
    assert Ticket.objects.get().pk


def test_unknown_fields() -> None:
    """BI-27: where every field but some may be set, one that does not exist is an error."""
    book = Book.objects.create(title="a")
    for binding in (bind(fields=None, exclude=["secret"]), bind(fields="__all__")):
        with pytest.raises(FieldDoesNotExist, match="nonsense"):
            binding().update(book.pk, {"nonsense": 1})


@pytest.mark.parametrize(
    ("fields", "exclude", "expected"),
    [
        ("__all__", None, ("b", "c", True)),
        (["__all__"], None, ("b", "c", True)),
        (None, ["shelf"], ("b", "c", False)),
    ],
)
def test_update_sets_open_fields_only(fields: Any, exclude: Any, expected: tuple[str, str, bool]) -> None:
    """OB-14, BI-27, BI-28: ``__all__``, as a string too, opens every field; excluded ones stay, by column too."""
    book, shelf = Book.objects.create(title="a"), Shelf.objects.create(label="s")
    values = {"title": "b", "secret": "c", "shelf": shelf.pk, **({"shelf_id": shelf.pk} if exclude else {})}
    bind(fields=fields, exclude=exclude)().update(book.pk, values)
    book.refresh_from_db()
    assert (book.title, book.secret, book.shelf == shelf) == expected


def test_update_keeps_to_its_row() -> None:
    """BI-27: keys among the data do not lead the save to another row, not even through a parent's key."""
    book, other = Book.objects.create(title="a"), Book.objects.create(title="other")
    bind(fields="__all__")().update(book.pk, {"id": other.pk, "title": "b"})
    paper = Paperback.objects.create(title="p")
    bind(model=Paperback, fields="__all__")().update(
        paper.pk, {"id": other.pk, "book_ptr": other.pk, "book_ptr_id": other.pk, "title": "q"}
    )
    titles = {found.pk: found.title for found in Book.objects.all()}
    assert titles == {book.pk: "b", other.pk: "other", paper.pk: "q"}


def test_update_of_many_to_many() -> None:
    """BI-27: refused by name, with what to do, before anything is saved."""
    book, tag = Book.objects.create(title="a"), Tag.objects.create(word="t")
    with pytest.raises(TypeError, match=r"Bound cannot update the many-to-many tags; define update\(self, pk, data\)"):
        bind(fields="__all__")().update(book.pk, {"title": "b", "tags": [tag.pk]})
    book.refresh_from_db()
    assert book.title == "a"
