"""Which bindings listen to which models."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.apps import apps

from routechan_django.binding import Binding
from routechan_django.binding.base import CREATE, DELETE, UPDATE, BindingMetaclass
from routechan_django.binding.websockets import WebsocketBinding, WebsocketBindingWithMembers

from .models import Bestseller, Book, Code, Named, Paperback, Pocketbook, Pocketseller, Shelf, Tag


class Silent(Binding):
    """Counts what it is told."""

    model = None
    heard: ClassVar[Any]

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        cls.heard.append(type(instance))
        return []


def listen(model: Any, *fields: str, **body: Any) -> Any:
    """Declare a binding of ``model``; ``heard`` collects the classes of the instances it is told about."""
    return type("Listening", (Silent,), {"model": model, "fields": fields, "heard": [], **body})


def test_constants() -> None:
    """BI-09: the actions, as clients know them."""
    assert (CREATE, UPDATE, DELETE) == ("create", "update", "delete")


def test_declared_bindings_are_collected_and_registered(declared: list[type]) -> None:
    """BI-01, BI-02: what is declared after the apps are ready registers at once; the base is not collected."""
    binding = listen(Shelf, "label")
    assert BindingMetaclass.register_immediately  # by the app's ``ready``
    assert declared[-1] is binding
    assert Binding not in declared
    assert WebsocketBinding in declared
    Shelf.objects.create(label="a")
    assert binding.heard == [Shelf]


def test_register_all(monkeypatch: pytest.MonkeyPatch, declared: list[type]) -> None:
    """BI-02: before the apps are ready, bindings wait for ``register_all``."""
    monkeypatch.setattr(BindingMetaclass, "register_immediately", False)
    early = listen("binding.Tag", "word")
    Tag.objects.create(word="a")
    assert early.heard == []
    assert early.model == "binding.Tag"
    BindingMetaclass.register_all()
    assert BindingMetaclass.register_immediately
    assert early.model is Tag
    Tag.objects.create(word="b")
    assert early.heard == [Tag]


def test_several_bindings_and_a_second_registration() -> None:
    """BI-04, BI-07: several bindings of a model each hear everything once, also where one registers twice."""
    one, other = listen(Shelf, "label"), listen(Shelf, "label")
    one.register()
    Shelf.objects.create(label="a")
    assert one.heard == other.heard == [Shelf]


def test_writers_of_a_table() -> None:
    """BI-04: a binding hears of what is saved through its model, a proxy of it, or a model that inherits from it."""
    bindings = {model: listen(model, "title") for model in (Book, Bestseller, Paperback, Pocketbook, Pocketseller)}
    for model in bindings:
        model.objects.create(title="a")
    heard = {model: [kind for kind in bindings if kind in binding.heard] for model, binding in bindings.items()}
    assert heard == {
        Book: [Book, Bestseller, Paperback, Pocketbook, Pocketseller],
        Bestseller: [Bestseller],
        Paperback: [Paperback, Pocketbook, Pocketseller],
        Pocketbook: [Pocketbook, Pocketseller],
        Pocketseller: [Pocketseller],
    }


def test_models_declared_later() -> None:
    """BI-04: a proxy that is declared after the binding counts too."""
    shelves = listen(Shelf, "label")

    class LateShelf(Shelf):
        class Meta:
            app_label = "binding"
            proxy = True

    try:
        LateShelf.objects.create(label="a")
        assert shelves.heard == [LateShelf]
    finally:
        del apps.all_models["binding"]["lateshelf"]
        apps.clear_cache()


def test_abstract_model() -> None:
    """BI-05: an abstract model has no rows; what inherits from it has."""
    with pytest.raises(ValueError, match=r"Listening binds Named, which is abstract and has no rows; bind each model"):
        listen(Named, "name")
    codes = listen(Code, "name")
    Code.objects.create(code="x")
    assert codes.heard[-1] is Code


def test_model_label() -> None:
    """BI-05: app and model in lower case; a string names a model through the app registry."""
    by_name = listen("binding.Shelf", fields=None, exclude=())
    assert by_name.model is Shelf
    assert by_name.model_label == "binding.shelf"


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
    both = listen(None, model_label="both", get_registered_models=classmethod(lambda cls: [Shelf, Tag]))
    try:
        Shelf.objects.create(label="a")
        Tag.objects.create(word="b")
        assert both.heard == [Shelf, Tag]
    finally:
        both.group_names = classmethod(lambda cls, instance: [])


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
