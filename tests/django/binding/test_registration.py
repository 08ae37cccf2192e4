"""Which bindings listen to which models."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from routechan_django.binding import Binding
from routechan_django.binding.base import CREATE, DELETE, UPDATE, BindingMetaclass
from routechan_django.binding.websockets import WebsocketBinding, WebsocketBindingWithMembers

from .models import Bestseller, Book, Paperback, Shelf, Tag


class Silent(Binding):
    """Counts what it is told."""

    model = None
    heard: ClassVar[Any]

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        cls.heard.append(type(instance))
        return []


def test_constants() -> None:
    """BI-09: the actions, as clients know them."""
    assert (CREATE, UPDATE, DELETE) == ("create", "update", "delete")


def test_declared_bindings_are_collected_and_registered(declared: list[type]) -> None:
    """BI-01, BI-02: what is declared after the apps are ready registers at once; the base is not collected."""

    class OnShelves(Silent):
        model = Shelf
        fields = ("label",)
        heard: ClassVar[Any] = []

    assert declared[-1] is OnShelves
    assert Binding not in declared
    assert WebsocketBinding in declared
    Shelf.objects.create(label="a")
    assert OnShelves.heard == [Shelf]


def test_register_all(monkeypatch: pytest.MonkeyPatch, declared: list[type]) -> None:
    """BI-02: before the apps are ready, bindings wait for ``register_all``."""
    monkeypatch.setattr(BindingMetaclass, "register_immediately", False)

    class Early(Silent):
        model = "binding.Tag"
        fields = ("word",)
        heard: ClassVar[Any] = []

    Tag.objects.create(word="a")
    assert Early.heard == []
    assert Early.model == "binding.Tag"
    BindingMetaclass.register_all()
    assert BindingMetaclass.register_immediately
    assert Early.model is Tag
    Tag.objects.create(word="b")
    assert Early.heard == [Tag]


def test_the_app_registers(declared: list[type]) -> None:
    """BI-02: the app's ``ready`` has registered what there was."""
    assert BindingMetaclass.register_immediately


def test_again_changes_nothing() -> None:
    """BI-04: a binding that registers twice hears everything once."""

    class Twice(Silent):
        model = Shelf
        fields = ("label",)
        heard: ClassVar[Any] = []

    Twice.register()
    Shelf.objects.create(label="a")
    assert Twice.heard == [Shelf]


def test_exact_class() -> None:
    """BI-04: children and proxies of the model are other models."""

    class OnBooks(Silent):
        model = Book
        fields = ("title",)
        heard: ClassVar[Any] = []

    class OnPaperbacks(Silent):
        model = Paperback
        fields = ("title",)
        heard: ClassVar[Any] = []

    class OnBestsellers(Silent):
        model = Bestseller
        fields = ("title",)
        heard: ClassVar[Any] = []

    Paperback.objects.create(title="p")
    Bestseller.objects.create(title="b")
    assert (OnBooks.heard, OnPaperbacks.heard, OnBestsellers.heard) == ([], [Paperback], [Bestseller])
    Book.objects.create(title="b")
    assert OnBooks.heard == [Book]


def test_several_bindings_of_a_model() -> None:
    """BI-07: each works for itself."""

    class One(Silent):
        model = Shelf
        fields = ("label",)
        heard: ClassVar[Any] = []

    class Other(Silent):
        model = Shelf
        fields = ("label",)
        heard: ClassVar[Any] = []

    Shelf.objects.create(label="a")
    assert One.heard == Other.heard == [Shelf]


def test_model_label() -> None:
    """BI-05: app and model in lower case; a string names a model through the app registry."""

    class ByName(Silent):
        model = "binding.Shelf"
        exclude = ()
        heard: ClassVar[Any] = []

    assert ByName.model is Shelf
    assert ByName.model_label == "binding.shelf"


def test_abstract() -> None:
    """BI-05, BI-06: ``model = None``, written out, makes a base of other bindings."""

    class Abstract(WebsocketBinding):
        model = None

    assert Abstract.get_registered_models() == []
    assert WebsocketBindingWithMembers.get_registered_models() == []
    assert (Abstract.fields, Abstract.exclude, Abstract.signal_kwargs) == (None, None, None)
    assert (Abstract.channel_session_user, Abstract.channel_session) == (True, False)
    assert (Abstract.stream, Abstract.strict_ordering, Abstract.slight_ordering) == (None, False, False)


def test_no_model() -> None:
    """BI-05: a binding without a model is refused when it is declared."""
    with pytest.raises(ValueError, match=r"Nothing binds no model: write model = YourModel"):

        class Nothing(WebsocketBinding):
            fields = ("title",)


def test_neither_fields_nor_exclude(declared: list[type]) -> None:
    """BI-05: what clients may see has to be said; BI-03: the class that failed to register stays in the list."""
    with pytest.raises(ValueError, match=r"Open says neither fields nor exclude"):

        class Open(WebsocketBinding):
            model = Book

    assert declared[-1].__name__ == "Open"


def test_several_models() -> None:
    """BI-05: ``get_registered_models`` may be overridden to give several."""

    class Both(Silent):
        model = None
        model_label = "both"
        heard: ClassVar[Any] = []

        @classmethod
        def get_registered_models(cls) -> Any:
            return [Shelf, Tag]

    try:
        Shelf.objects.create(label="a")
        Tag.objects.create(word="b")
        assert Both.heard == [Shelf, Tag]
    finally:
        Both.group_names = classmethod(lambda cls, instance: [])  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(
    ("call", "method"),
    [
        (lambda: Binding.group_names(None), r"group_names\(cls, instance\)"),
        (lambda: Binding.encode("s", {}), r"encode\(cls, stream, payload\)"),
        (lambda: Binding().serialize(None, CREATE), r"serialize\(self, instance, action\)"),
        (lambda: Binding().deserialize(None), r"deserialize\(self, message\)"),  # type: ignore[arg-type]
        (lambda: Binding().has_permission(None, CREATE, None), r"has_permission\(self, user, action, pk\)"),
        (lambda: Binding().create({}), r"create\(self, data\)"),
        (lambda: Binding().update(1, {}), r"update\(self, pk, data\)"),
    ],
)
def test_what_a_binding_has_to_define(call: Any, method: str) -> None:
    """BI-16, BI-10: the base names what is missing."""
    with pytest.raises(NotImplementedError, match="Binding has to define " + method):
        call()
