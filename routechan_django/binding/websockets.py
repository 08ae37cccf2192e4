"""Bindings over the streams of a demultiplexed WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.core import serializers
from django.core.exceptions import FieldDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.core.serializers.python import Serializer
from django.db import IntegrityError, router, transaction

from routechan.encoding import Content
from routechan.message import Message

from ..generic.base import channel_of
from ..generic.websockets import WebsocketMultiplexer
from ..sessions import enforce_ordering
from ..sessions.ordering import refuse_slight_ordering
from .base import ALL_FIELDS, Binding
from .tables import key_in, same_table

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
    """A binding in JSON; ``YourBinding.consumer`` belongs under its ``stream`` in a ``WebsocketDemultiplexer``.

    Payloads are ``{"action": "create", "pk": 1, "data": {...}}``; those sent to clients have the ``model`` too. A
    subclass defines ``stream``, ``group_names`` and ``has_permission``. Lifetime of an instance: one change, or one
    message.
    """

    model: ClassVar[Any] = None
    stream: ClassVar[str | None] = None

    #: Whether a socket's messages are handled in the order of their ``order``.
    strict_ordering: ClassVar[bool] = False
    slight_ordering: ClassVar[bool] = False

    # Outbound

    @classmethod
    def encode(cls, stream: str, payload: Any) -> Content:
        """The message with ``payload`` in ``stream``, for a demultiplexed socket."""
        return WebsocketMultiplexer.encode(stream, payload)

    def serialize(self, instance: Any, action: str) -> Content:
        """The payload for ``action`` on ``instance`` (BI-17)."""
        return {
            "action": action,
            "pk": key_in(self.bound_model(instance), instance),
            "data": self.serialize_data(instance),
            "model": self.model_label,
        }

    def serialize_data(self, instance: Any) -> dict[str, Any]:
        """The fields of ``instance`` to send, inherited ones too, as Django's JSON serializer writes them (BI-18)."""
        model = self.bound_model(instance)
        every: list[Any] = [*model._meta.fields, *model._meta.many_to_many]
        fields = [field for field in every if field.serialize and self._is_exposed(field)]
        if any(hasattr(vars(instance).get(field.attname), "resolve_expression") for field in fields):
            # An F() that was saved stays in the instance; its value is in the database.
            instance = model._base_manager.using(instance._state.db).get(pk=key_in(model, instance))
        return _FieldSerializer().values_of(instance, fields)

    # Inbound

    @classmethod
    def get_handler(cls) -> Callable[..., Any]:
        """The function that ``consumer`` calls, ordered if ``strict_ordering`` is set."""
        refuse_slight_ordering(cls)
        handler = super().get_handler()
        return enforce_ordering(handler) if cls.strict_ordering else handler

    @classmethod
    def trigger_inbound(cls, message: Message, **kwargs: Any) -> None:
        """Change the model as a frame says; connect and disconnect events change nothing (BI-22).

        Args:
            message: A message of the socket.
            **kwargs: The named groups of the route.
        """
        if channel_of(message) == "websocket.receive":
            super().trigger_inbound(message, **kwargs)

    def deserialize(self, message: Message) -> tuple[str, Any, Any]:
        """The triple ``(action, pk, data)`` of the payload in ``message`` (BI-24).

        Raises:
            ValueError: The payload is no JSON object.
            KeyError: It has no ``action``.
        """
        content = json.loads(message["text"])
        if not isinstance(content, dict):
            raise ValueError(f'a binding takes {{"action": ..., "pk": ..., "data": ...}}, not {content!r:.100}')
        return content["action"], content.get("pk"), content.get("data")

    def create(self, data: Any) -> None:
        """Create an instance from the fields that clients may set; never replace an existing one (BI-26, OB-13).

        As with a fixture, the model's own ``save()`` is not called. Its signals say ``raw``, unless it inherits from
        another model: Django writes no rows of parents in a raw save.

        Args:
            data: Field names and values; fields that may not be set are ignored.

        Raises:
            IntegrityError: There is a row with a key that is among the data, perhaps of a parent model.
        """
        made = self._hydrate(None, self._settable(data))
        instance = made.object
        using = router.db_for_write(self.model, instance=instance)
        parents = [parent for parent in self.model._meta.get_parent_list() if not same_table(parent, self.model)]
        with transaction.atomic(using=using):
            for parent in parents:
                key = key_in(parent, instance)
                if key is not None and parent._base_manager.using(using).filter(pk=key).exists():
                    raise IntegrityError(
                        f"a create of {self.model_label} may not replace the {parent._meta.label} with the key {key!r}"
                    )
            if not parents:
                for field in instance._meta.concrete_fields:
                    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
                        field.pre_save(instance, True)
            instance.save_base(raw=not parents, force_insert=True, using=using)
            for name, values in (made.m2m_data or {}).items():
                getattr(instance, name).set(values)

    def update(self, pk: Any, data: Any) -> None:
        """Set the fields that clients may set, and ``save()`` the instance (BI-27).

        Args:
            pk: The primary key of the instance.
            data: Field names and values; fields that may not be set are ignored.

        Raises:
            TypeError: A many-to-many field is among them.
        """
        instance = self.model.objects.get(pk=pk)
        # A primary key in ``data`` is ignored: has_permission was asked about ``pk``.
        values = {name: value for name, value in self._settable(data).items() if not _is_primary_key(instance, name)}
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

    def _settable(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValueError(f"data is a JSON object of field values, not {data!r:.100}")
        return {name: value for name, value in data.items() if self._may_be_set(name)}

    def _may_be_set(self, name: str) -> bool:
        try:
            field = self.model._meta.get_field(name)
            if not hasattr(field, "to_python"):  # a relation of another model to this one
                raise FieldDoesNotExist(f"{self.model._meta.label} has no field named '{name}' that could be set")
            return self._is_exposed(field)
        except FieldDoesNotExist:
            if _sequence(self.fields) in (None, [ALL_FIELDS]):
                raise
            return False  # not a name in ``fields``

    def _is_exposed(self, field: Any) -> bool:
        """Whether ``field`` is sent and may be set (BI-18, BI-28).

        Clients may write ``x_id`` for a foreign key.
        """
        names = {field.name, getattr(field, "attname", field.name)}
        fields, exclude = _sequence(self.fields), _sequence(self.exclude)
        if exclude is not None and names.intersection(exclude):
            return False
        return fields is None or fields == [ALL_FIELDS] or bool(names.intersection(fields))


class WebsocketBindingWithMembers(WebsocketBinding):
    """A binding that sends members of the instance besides its fields (BI-31).

    Lifetime of an instance: one change, or one message.
    """

    model: ClassVar[Any] = None

    #: Names of attributes, properties and methods without arguments; dots lead through related objects.
    send_members: ClassVar[Sequence[str]] = []

    encoder = DjangoJSONEncoder()

    def serialize_data(self, instance: Any) -> dict[str, Any]:
        """The fields and ``send_members`` of ``instance``; a dot in a name becomes two underscores."""
        data = super().serialize_data(instance)
        for path in self.send_members:
            value = instance
            for name in path.split("."):
                value = getattr(value, name)
            data[path.replace(".", "__")] = value() if callable(value) else value
        decoded: dict[str, Any] = json.loads(self.encoder.encode(data))
        return decoded


class _FieldSerializer(Serializer):
    """Django's serializer, which itself passes over the fields of parent models. Lifetime: one instance."""

    selected_fields = None
    use_natural_foreign_keys = False

    def values_of(self, instance: Any, fields: Sequence[Any]) -> dict[str, Any]:
        """The values of ``fields`` by name, as they are in JSON."""
        self._current: Any = {}
        for field in fields:
            if field.many_to_many:
                self.handle_m2m_field(instance, field)
            elif field.remote_field is not None:
                self.handle_fk_field(instance, field)
            else:
                self.handle_field(instance, field)
        values: dict[str, Any] = json.loads(json.dumps(self._current, cls=DjangoJSONEncoder))
        return values


def _sequence(names: str | Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    return [names] if isinstance(names, str) else list(names)


def _is_primary_key(instance: Any, name: str) -> bool:
    """Whether the field ``name`` is the primary key, a part of it, or the inherited one of a parent model."""
    field = instance._meta.get_field(name)
    if field in getattr(instance._meta, "pk_fields", ()):
        return True
    return getattr(field, "primary_key", False) or getattr(field.remote_field, "parent_link", False)
