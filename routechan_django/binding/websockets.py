"""Bindings over the streams of a demultiplexed WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.core import serializers
from django.core.exceptions import FieldDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder

from routechan.encoding import Content
from routechan.message import Message

from ..generic.websockets import WebsocketMultiplexer
from ..sessions import enforce_ordering
from .base import ALL_FIELDS, Binding

__all__ = [
    "Binding",
    "DjangoJSONEncoder",
    "WebsocketBinding",
    "WebsocketBindingWithMembers",
    "WebsocketMultiplexer",
    "enforce_ordering",
    "json",
    "serializers",
]


class WebsocketBinding(Binding):
    """A binding in JSON, to be put under its ``stream`` in a ``WebsocketDemultiplexer`` as ``YourBinding.consumer``.

    Clients get and send ``{"action": "create", "pk": 1, "data": {...}}`` as payloads; those they get say the
    ``model`` too. ``stream``, ``group_names`` and ``has_permission`` are to be defined.
    """

    model: ClassVar[Any] = None
    stream: ClassVar[str | None] = None

    #: Handle a socket's messages in the order of their ``order``.
    strict_ordering: ClassVar[bool] = False
    slight_ordering: ClassVar[bool] = False

    # Outbound

    @classmethod
    def encode(cls, stream: str, payload: Any) -> Content:
        return WebsocketMultiplexer.encode(stream, payload)

    def serialize(self, instance: Any, action: str) -> Content:
        """What clients are told (BI-17)."""
        return {
            "action": action,
            "pk": instance.pk,
            "data": self.serialize_data(instance),
            "model": self.model_label,
        }

    def serialize_data(self, instance: Any) -> dict[str, Any]:
        """The fields of ``instance`` that go out, as Django's JSON serializer writes them (BI-18)."""
        names = [field.name for field in instance._meta.get_fields() if self._is_open(field)]
        [serialized] = json.loads(serializers.serialize("json", [instance], fields=names))
        data: dict[str, Any] = serialized["fields"]
        return data

    # Inbound

    @classmethod
    def get_handler(cls) -> Callable[..., Any]:
        if cls.slight_ordering:
            raise ValueError(
                f"{cls.__name__} sets slight_ordering, which does not exist any more; set strict_ordering = True"
            )
        handler = super().get_handler()
        return enforce_ordering(handler) if cls.strict_ordering else handler

    @classmethod
    def trigger_inbound(cls, message: Message, **kwargs: Any) -> None:
        """Do what a frame asks for; connecting and disconnecting ask for nothing (BI-22)."""
        if message.channel_name == "websocket.receive":
            super().trigger_inbound(message, **kwargs)

    def deserialize(self, message: Message) -> tuple[str, Any, Any]:
        """``(action, pk, data)`` of a frame's text, at the level of the payload (BI-24)."""
        content = json.loads(message["text"])
        if not isinstance(content, dict):
            raise ValueError(f'a binding takes {{"action": ..., "pk": ..., "data": ...}}, not {content!r:.100}')
        return content["action"], content.get("pk"), content.get("data")

    def create(self, data: Any) -> None:
        """Make an instance of the fields that may be set; never in place of one that exists (BI-26, OB-13).

        As with a fixture, the model's own ``save()`` is not called and its signals say ``raw``.
        """
        made = self._hydrate(None, self._open_data(data))
        for field in made.object._meta.concrete_fields:
            if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
                field.pre_save(made.object, True)
        made.save(force_insert=True)

    def update(self, pk: Any, data: Any) -> None:
        """Set the fields that may be set and ``save()`` the instance; other keys are passed over (BI-27)."""
        instance = self.model.objects.get(pk=pk)
        # Which instance it is, ``pk`` says, and has_permission was asked about that one.
        values = {name: value for name, value in self._open_data(data).items() if not _names_a_row(instance, name)}
        hydrated = self._hydrate(pk, values)
        if hydrated.m2m_data:
            raise TypeError(
                f"{type(self).__name__} cannot update the many-to-many {', '.join(sorted(hydrated.m2m_data))}; define "
                "update(self, pk, data) to set it, or name it in exclude"
            )
        for name in values:
            setattr(instance, name, getattr(hydrated.object, name))
        instance.save()

    def _hydrate(self, pk: Any, data: dict[str, Any]) -> Any:
        [made] = serializers.deserialize("python", [{"pk": pk, "model": self.model_label, "fields": data}])
        return made

    def _open_data(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValueError(f"data is a JSON object of field values, not {data!r:.100}")
        return {name: value for name, value in data.items() if self._may_be_set(name)}

    def _may_be_set(self, name: str) -> bool:
        try:
            return self._is_open(self.model._meta.get_field(name))
        except FieldDoesNotExist:
            if _sequence(self.fields) in (None, [ALL_FIELDS]):
                raise
            return False  # it is not among the fields

    def _is_open(self, field: Any) -> bool:
        """Whether a field goes out, and may be set by clients (BI-18, BI-28). They may call a foreign key ``x_id``."""
        names = {field.name, getattr(field, "attname", field.name)}
        fields, exclude = _sequence(self.fields), _sequence(self.exclude)
        if exclude is not None and names.intersection(exclude):
            return False
        return fields is None or fields == [ALL_FIELDS] or bool(names.intersection(fields))


class WebsocketBindingWithMembers(WebsocketBinding):
    """A binding whose messages hold more than fields (BI-31)."""

    model: ClassVar[Any] = None

    #: Attributes, properties and methods without arguments; through related objects with dots.
    send_members: ClassVar[Sequence[str]] = []

    encoder = DjangoJSONEncoder()

    def serialize_data(self, instance: Any) -> dict[str, Any]:
        data = super().serialize_data(instance)
        for path in self.send_members:
            value = instance
            for name in path.split("."):
                value = getattr(value, name)
            data[path.replace(".", "__")] = value() if callable(value) else value
        decoded: dict[str, Any] = json.loads(self.encoder.encode(data))
        return decoded


def _sequence(names: str | Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    return [names] if isinstance(names, str) else list(names)


def _names_a_row(instance: Any, name: str) -> bool:
    """Whether a field is a primary key, the model's or one that it inherits."""
    field = instance._meta.get_field(name)
    return getattr(field, "primary_key", False) or getattr(field.remote_field, "parent_link", False)
