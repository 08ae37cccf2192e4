"""A rule about a row's key is asked about the key that the database is asked for."""

from __future__ import annotations

import uuid
from typing import Any

import django
import pytest
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist

from routechan_django.binding.websockets import WebsocketBinding
from tests.unit.django.helpers import message

from . import models
from .models import Book, Code, Day, Measure, Note, Paperback, Price, Ticket, Word


class Asking(WebsocketBinding):
    """Forbids everything, and remembers what it was asked about."""

    model = None
    stream = "s"
    asked: list[Any]

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        return []

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        assert pk == self.pk
        self.asked.append(pk)
        return False


def asked(model: Any, pk: str, action: str = "update", base: Any = Asking) -> list[Any]:
    """What a binding of ``model`` is asked about when a client sends ``pk``, in JSON."""
    binding = type("Bound", (base,), {"model": model, "fields": "__all__", "asked": []})
    binding.consumer(message(text=f'{{"action": "{action}", "pk": {pk}, "data": {{}}}}'))
    return binding.asked  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("action", ["update", "delete"])
@pytest.mark.parametrize("model", [Book, Paperback])
@pytest.mark.parametrize("pk", ["1", '"1"', '" 1 "', '"+1"', '"01"', '"\\u0661"', '"1\\n"'])
def test_one_value_for_a_row(model: Any, pk: str, action: str) -> None:
    """BI-23, BI-25: however a client writes it, the key is the integer that the database looks for."""
    [key] = asked(model, pk, action)
    assert key == 1
    assert type(key) is int


@pytest.mark.parametrize("action", ["update", "delete"])
@pytest.mark.parametrize("model", [Book, Paperback])
@pytest.mark.parametrize(
    "pk",
    ["1.9", "1.0", "true", "false", "[1]", "{}", '"1.0"', '""', '"x"', str(2**63), str(-(2**64)), "1e400", "NaN",
     f'"{"9" * 400}"', f'"{"9" * 5000}"', '"1\\u0000"'],
)  # fmt: skip
def test_what_is_no_key(model: Any, pk: str, action: str) -> None:
    """BI-24: refused with what came and what a key is, before anybody is asked."""
    with pytest.raises(ValueError, match=rf"is no key of binding\.{model.__name__}: pk is a value of .*AutoField"):
        asked(model, pk, action)


def test_none() -> None:
    """BI-25, BI-27: no key stays none, of which no row is found; a create never has one."""
    assert asked(Book, "null") == [None]
    assert asked(Book, "3", "create") == [None]
    permitting = type("Permitting", (Asking,), {"model": None, "has_permission": lambda *args: True})
    with pytest.raises(ObjectDoesNotExist):
        asked(Book, "null", base=permitting)


def test_uuids() -> None:
    """BI-25: each way to write one is the same UUID."""
    key = uuid.UUID(int=7)
    for text in (str(key), key.hex, str(key).upper(), f"{{{key}}}", key.urn):
        assert asked(Ticket, f'"{text}"') == [key]
    for pk in ("1.5", '"7"', "true", "[]", str(-1), str(2**128)):
        with pytest.raises(ValueError, match=r"is no key of .*Ticket: pk is a value of UUIDField"):
            asked(Ticket, pk)


def test_text() -> None:
    """BI-25: a number is its digits; what the database could not be asked for is refused."""
    assert asked(Code, "1") == asked(Code, '"1"') == ["1"]
    assert asked(Code, '" 1"') == [" 1"]
    for pk in ("1.5", "true", "[1]", "{}", '"a\\u0000"', '"\\ud800"'):
        with pytest.raises(ValueError, match=r"is no key of .*Code: pk is a value of CharField"):
            asked(Code, pk)


def test_the_stored_key() -> None:
    """BI-25: where the database finds a row by something like its key, the row's own key is asked about."""
    Word.objects.create(key="anna")
    assert asked(Word, '"ANNA"') == ["anna"]
    assert asked(Word, '"BEN"') == ["BEN"]
    Price.objects.create(key="1.50")
    assert [str(key) for key in asked(Price, '"1.5"')] == ["1.50"]
    with pytest.raises(ValueError, match="is no key"):
        asked(Price, '"Infinity"')


def test_other_fields() -> None:
    """BI-25: floats are keys where the field is one, also by way of a link; dates are dates."""
    for model in (Measure, Note):
        assert asked(model, "1.5") == asked(model, '"1.5"') == [1.5]
        with pytest.raises(ValueError, match="is no key"):
            asked(model, "NaN")
    assert [str(key) for key in asked(Day, '"2026-01-02"')] == ["2026-01-02"]
    with pytest.raises(ValueError, match=r"'soon' is no key"):
        asked(Day, '"soon"')


@pytest.mark.skipif(django.VERSION < (5, 2), reason="Django has no composite keys before 5.2")
def test_keys_of_several_fields() -> None:
    """BI-25, BI-27: each part is read by its field; and no data leads an update to another row."""
    model = models.Seat
    row = model.objects.create(row=1, letter="a")
    assert asked(model, '["1", "A"]') == [(1, "a")]
    for pk in ("1", '"(1, 2)"', "[1]", '[1, "a", 2]', '[1.5, "a"]', '[1, ["a"]]', '[null, "a"]', "{}"):
        with pytest.raises(ValueError, match="is no key of"):
            asked(model, pk)
    type("Bound", (Asking,), {"model": model, "fields": "__all__"})().update(
        (1, "a"), {"row": 2, "letter": "b", "text": "c"}
    )
    assert list(model.objects.values_list("row", "letter", "text")) == [(1, "a", "c")]
    row.delete()


def test_rows_by_another_name() -> None:
    """BI-23: a binding whose clients name rows otherwise says how they are read."""

    class ByTitle(Asking):
        model = None

        def read_key(self, pk: Any) -> Any:
            return Book.objects.get(title=pk).pk

    book = Book.objects.create(title="a")
    assert asked(Book, '"a"', base=ByTitle) == [book.pk]


@pytest.mark.parametrize("name", ["paperback", "pk", "shelf__label", "bestseller", "objects", ""])
def test_data_that_names_no_field(name: str) -> None:
    """BI-27: what is no field of the row, such as a relation of another model to it, is refused as unknown."""
    book = Book.objects.create(title="a")
    binding = type("Bound", (Asking,), {"model": Book, "fields": "__all__"})
    for change in (lambda data: binding().update(book.pk, data), binding().create):
        with pytest.raises(FieldDoesNotExist, match=f"'{name}'"):
            change({name: 1})
