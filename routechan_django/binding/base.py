"""``Binding``: changes of a model are sent to groups, and messages of clients change the model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import class_prepared, post_delete, post_save, pre_delete, pre_save

from routechan.channel import Group
from routechan.encoding import Content
from routechan.message import Message

from ..auth import channel_session_user
from ..sessions import channel_session
from .announcement import Announcement, send_after_commit
from .keys import read_key
from .stored import StoredRow
from .tables import may_exist, same_table, saves_row, writers_of

__all__ = [
    "CREATE",
    "DELETE",
    "UPDATE",
    "Binding",
    "BindingMetaclass",
    "Group",
    "apps",
    "channel_session",
    "channel_session_user",
    "post_delete",
    "post_save",
    "pre_delete",
    "pre_save",
]

logger = logging.getLogger("routechan")

CREATE = "create"
UPDATE = "update"
DELETE = "delete"

#: A value of ``fields``, alone or in a list: every field.
ALL_FIELDS = "__all__"


class BindingMetaclass(type):
    """The registry of bindings; once all models are loaded they are connected to signals (BI-01 to BI-03)."""

    binding_classes: ClassVar[list[Any]] = []
    register_immediately: ClassVar[bool] = False

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        made = super().__new__(mcs, name, bases, body)
        if bases and bases != (object,):
            mcs.binding_classes.append(made)
            if mcs.register_immediately:
                made.register()  # type: ignore[attr-defined]
        return made

    @classmethod
    def register_all(mcs) -> None:
        """Register the bindings declared so far; those declared later register at once."""
        for binding in mcs.binding_classes:
            binding.register()
        mcs.register_immediately = True
        class_prepared.connect(mcs._model_made, dispatch_uid="routechan_bindings")

    @classmethod
    def _model_made(mcs, sender: type[Model], **kwargs: Any) -> None:
        """Have the bindings of a model hear of a proxy or child of it that was declared after them."""
        for binding in mcs.binding_classes:
            for model in binding.bound_models:
                if issubclass(sender, model):
                    binding.listen(model, sender)


class Binding(metaclass=BindingMetaclass):
    """Binds a model to a stream. Lifetime of an instance: one change, or one message.

    A subclass sets ``model`` (a class or ``"app_label.Model"``; an explicit None makes the subclass abstract), and
    ``fields`` or ``exclude``, which apply in both directions. It defines ``group_names`` and ``has_permission``, and
    for its transport ``encode``, ``serialize``, ``deserialize``, ``create`` and ``update``.
    """

    model: ClassVar[Any] = None

    #: The fields that are sent and that clients may set: names, or ``"__all__"``.
    fields: ClassVar[str | Sequence[str] | None] = None

    #: Fields that are neither sent nor may be set, whatever ``fields`` says.
    exclude: ClassVar[str | Sequence[str] | None] = None

    #: Whether inbound messages get a user; whether they get a channel session only.
    channel_session_user: ClassVar[bool] = True
    channel_session: ClassVar[bool] = False

    #: What the signal carried beside the instance (BI-13).
    signal_kwargs: dict[str, Any] | None = None

    #: The models whose rows are told of, once the binding is registered.
    bound_models: ClassVar[Sequence[type[Model]]] = ()

    model_label: ClassVar[str]
    stream: ClassVar[str | None] = None

    # Set for a change
    instance: Any

    # Set for a message
    message: Message
    kwargs: dict[str, Any]
    action: str
    pk: Any
    data: Any
    user: Any

    # Registration

    @classmethod
    def register(cls) -> None:
        """Connect the receivers to the signals of the models, and of all models that write their rows (BI-04).

        Idempotent.
        """
        cls.bound_models = tuple(cls.get_registered_models())
        for model in cls.bound_models:
            for sender in writers_of(model):
                cls.listen(model, sender)

    @classmethod
    def listen(cls, model: type[Model], sender: type[Model]) -> None:
        """Connect the receivers to the signals of one model that writes rows of another.

        Args:
            model: The bound model.
            sender: The same, a proxy of it, or a model that inherits from it.
        """
        pre_save.connect(cls.pre_save_receiver, sender=sender)
        post_save.connect(cls.post_save_receiver, sender=sender)
        if same_table(model, sender):  # a delete of a child signals the delete of its parent's row too
            pre_delete.connect(cls.pre_delete_receiver, sender=sender)
            post_delete.connect(cls.post_delete_receiver, sender=sender)

    @classmethod
    def bound_model(cls, instance: Any) -> type[Model]:
        """The one of ``bound_models`` that ``instance`` is told of as: its class, or the nearest base of it."""
        kinds: list[type[Any]] = [kind for kind in type(instance).__mro__ if kind in cls.bound_models]
        return kinds[0] if kinds else type(instance)

    @classmethod
    def get_registered_models(cls) -> list[type[Model]]:
        """The models whose signals are received; an override that returns several sets ``model_label`` (BI-05).

        Raises:
            ValueError: The class sets no ``model``, or an abstract one, or neither ``fields`` nor ``exclude``.
        """
        if cls.model is None:
            if "model" in cls.__dict__:
                return []
            raise ValueError(
                f"{cls.__name__} binds no model: write model = YourModel or model = 'app_label.YourModel', or "
                "model = None where it is a base class of other bindings"
            )
        if cls.fields is None and cls.exclude is None:
            raise ValueError(
                f"{cls.__name__} says neither fields nor exclude: name the fields that clients may see and change, as "
                "fields = ['name'], or fields = '__all__'"
            )
        if isinstance(cls.model, str):
            cls.model = apps.get_model(cls.model)
        if cls.model._meta.abstract:
            raise ValueError(
                f"{cls.__name__} binds {cls.model.__name__}, which is abstract and has no rows; bind each model that "
                "inherits from it, or override get_registered_models to return these, and set model_label"
            )
        cls.model_label = cls.model._meta.label.lower()
        return [cls.model]

    # Outbound: signals of the model

    @classmethod
    def pre_save_receiver(cls, instance: Any, **kwargs: Any) -> None:
        """Remember the stored row and the groups of an instance before a save.

        Args:
            instance: The instance that is about to be saved.
            **kwargs: What the signal carries.
        """
        model = cls.bound_model(instance)
        if not saves_row(model, instance, kwargs):
            return
        creating = instance._state.adding
        row = None
        if may_exist(model, instance, bool(kwargs.get("raw"))):
            row = StoredRow(model, instance, kwargs.get("using"))
        _by_binding(instance, "_binding_stored_rows")[cls] = row
        cls.pre_change_receiver(instance, CREATE if creating else UPDATE)
        if creating and row is not None and not same_table(model, type(instance)):
            row.exists  # noqa: B018  # the signal says whether the child's row is created, and nothing of this one

    @classmethod
    def post_save_receiver(cls, instance: Any, created: bool, **kwargs: Any) -> None:
        """Send that an instance was created or updated.

        Args:
            instance: The instance that was saved.
            created: Whether its row is new.
            **kwargs: What the signal carries.
        """
        model = cls.bound_model(instance)
        if not saves_row(model, instance, kwargs):
            return
        if created and not same_table(model, type(instance)):
            row = _by_binding(instance, "_binding_stored_rows").get(cls)
            # An instance that was not new creates its row in a save after one that was rolled back, parents and all.
            created = row is None or not row.adding or not row.exists
        cls.post_change_receiver(instance, CREATE if created else UPDATE, **kwargs)

    @classmethod
    def pre_delete_receiver(cls, instance: Any, **kwargs: Any) -> None:
        """Remember the groups of an instance before it is deleted.

        Args:
            instance: The instance that is about to be deleted.
            **kwargs: What the signal carries.
        """
        _by_binding(instance, "_binding_stored_rows").pop(cls, None)
        cls.pre_change_receiver(instance, DELETE)

    @classmethod
    def post_delete_receiver(cls, instance: Any, **kwargs: Any) -> None:
        """Send that an instance was deleted.

        Args:
            instance: The instance that was deleted.
            **kwargs: What the signal carries.
        """
        cls.post_change_receiver(instance, DELETE, **kwargs)

    @classmethod
    def pre_change_receiver(cls, instance: Any, action: str) -> None:
        """Remember the groups that could see the instance before the change, from the stored row (BI-08, OB-15).

        Args:
            instance: The instance that is about to change.
            action: ``CREATE``, ``UPDATE`` or ``DELETE``.
        """
        row: StoredRow | None = _by_binding(instance, "_binding_stored_rows").get(cls)
        names: set[str] = set()
        if row is not None:
            names = row.names(cls.group_names)
        elif action != CREATE:
            names = set(cls.group_names(instance))
        _by_binding(instance, "_binding_group_names")[cls] = names

    @classmethod
    def post_change_receiver(cls, instance: Any, action: str, **kwargs: Any) -> None:
        """Send the change to each group as it sees it: a delete, an update or a create, in this order (BI-09).

        Args:
            instance: The instance that has changed.
            action: ``CREATE``, ``UPDATE`` or ``DELETE``.
            **kwargs: What the signal carried.
        """
        old_names: set[str] = _by_binding(instance, "_binding_group_names").pop(cls, set())
        row: StoredRow | None = _by_binding(instance, "_binding_stored_rows").pop(cls, None)
        new_names: set[str] = set()
        if action == CREATE:  # there was no row, whatever the groups are
            old_names = set()
        if action != DELETE:
            # With ``update_fields`` the instance in memory may hold changes that were not stored.
            is_partial = row is not None and kwargs.get("update_fields") is not None
            model = cls.bound_model(instance)
            new_row = StoredRow(model, instance, kwargs.get("using")) if is_partial else None
            new_names = set(cls.group_names(instance)) if new_row is None else new_row.names(cls.group_names)
        binding = cls()
        binding.instance = instance
        # Groups that may not see the instance any more get its old values, not the new ones.
        before = (row and row.instance) or instance
        binding.send_messages(before, old_names - new_names, DELETE, **kwargs)
        binding.send_messages(instance, old_names & new_names, UPDATE, **kwargs)
        binding.send_messages(instance, new_names - old_names, CREATE, **kwargs)

    def send_messages(self, instance: Any, group_names: Iterable[str], action: str, **kwargs: Any) -> None:
        """Serialize ``instance`` once, now, and send the message to each group when the change is committed.

        A change that is rolled back, with its transaction or its savepoint, is told to nobody (BI-13, BI-14).

        Where the layer cannot be reached, the groups miss it, and the log says so.

        Args:
            instance: The instance to serialize.
            group_names: The groups; without any, nothing is serialized.
            action: ``CREATE``, ``UPDATE`` or ``DELETE``.
            **kwargs: What the signal carried.

        Raises:
            ValueError: The binding has no ``stream``.
        """
        if not group_names:
            return
        self.signal_kwargs = kwargs
        payload = self.serialize(instance, action)
        if payload == {}:
            return
        if self.stream is None:
            raise ValueError(f"{type(self).__name__} has no stream: write stream = 'name', by which clients know it")
        message = self.encode(self.stream, payload)
        announcement = Announcement(f"{type(self).__name__}, {action}", message, group_names)
        send_after_commit(announcement, kwargs.get("using"))

    @classmethod
    def group_names(cls, instance: Any) -> Iterable[str]:
        """The names of the groups that may see ``instance``; to be defined by a subclass (BI-10)."""
        raise _missing(cls, "group_names(cls, instance)")

    @classmethod
    def encode(cls, stream: str, payload: Any) -> Content:
        """The message that carries ``payload`` in ``stream``; to be defined by a transport."""
        raise _missing(cls, "encode(cls, stream, payload)")

    def serialize(self, instance: Any, action: str) -> Any:
        """The payload for ``action`` on ``instance``, ``{}`` to send nothing; to be defined by a transport."""
        raise _missing(type(self), "serialize(self, instance, action)")

    # Inbound: messages of clients

    @classmethod
    def consumer(cls, message: Message, **kwargs: Any) -> None:
        """Change the model as ``message`` says: a consumer for a route or a demultiplexer (BI-20).

        Args:
            message: A message of a client.
            **kwargs: The named groups of the route.
        """
        cls.get_handler()(message, **kwargs)

    @classmethod
    def get_handler(cls) -> Callable[..., Any]:
        """The function that ``consumer`` calls: ``trigger_inbound``, decorated (BI-21)."""
        handler: Callable[..., Any] = cls.trigger_inbound
        if cls.channel_session_user:
            return channel_session_user(handler)
        return channel_session(handler) if cls.channel_session else handler

    @classmethod
    def trigger_inbound(cls, message: Message, **kwargs: Any) -> None:
        """Change the model as ``message`` says (BI-23).

        Args:
            message: A message of a client, with ``user`` where it was decorated so.
            **kwargs: The named groups of the route.

        Raises:
            ValueError: Its ``pk`` is no key of the model.
        """
        binding = cls()
        binding.message = message
        binding.kwargs = kwargs
        binding.action, pk, binding.data = binding.deserialize(message)
        binding.pk = None if binding.action == CREATE else binding.read_key(pk)
        binding.user = _user_of(message)
        binding.run_action(binding.action, binding.pk, binding.data)

    def deserialize(self, message: Message) -> tuple[str, Any, Any]:
        """The triple ``(action, pk, data)`` of ``message``; to be defined by a transport."""
        raise _missing(type(self), "deserialize(self, message)")

    def read_key(self, pk: Any) -> Any:
        """The primary key that ``pk`` of a client names, as the model's field reads it and the database stores it.

        ``has_permission`` and the methods that change the model get this value. Override it where clients name rows
        by something other than the key.

        Args:
            pk: What ``deserialize`` gave.

        Raises:
            ValueError: It is no key: a float or a boolean for a number, a list, a text that the field cannot read.
        """
        return pk if self.model is None else read_key(self.model, pk)

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        """Whether ``user`` may do ``action`` to the instance ``pk``; to be defined by a subclass.

        Args:
            user: The user of the socket.
            action: What the client asks for.
            pk: The primary key as the model's field reads it: 1, whether the client wrote ``1`` or ``"1"``. None for a
                create.
        """
        raise _missing(type(self), "has_permission(self, user, action, pk)")

    def run_action(self, action: str, pk: Any, data: Any) -> None:
        """Create, update or delete an instance; without permission nothing happens, silently (BI-25).

        Args:
            action: ``CREATE``, ``UPDATE`` or ``DELETE``.
            pk: The primary key, None for a create.
            data: Field names and values.

        Raises:
            ValueError: Another action.
        """
        if not self.has_permission(self.user, action, pk):
            return
        if action == CREATE:
            self.create(data)
        elif action == UPDATE:
            self.update(pk, data)
        elif action == DELETE:
            self.delete(pk)
        else:
            raise ValueError(f"{action!r:.100} is no action; there are {CREATE!r}, {UPDATE!r} and {DELETE!r}")

    def create(self, data: Any) -> None:
        """Create an instance with ``data``, a dict of field values; to be defined by a transport."""
        raise _missing(type(self), "create(self, data)")

    def update(self, pk: Any, data: Any) -> None:
        """Set ``data``, a dict of field values, on the instance ``pk``; to be defined by a transport."""
        raise _missing(type(self), "update(self, pk, data)")

    def delete(self, pk: Any) -> None:
        """Delete the instance ``pk``, if there is one (BI-29)."""
        self.model.objects.filter(pk=pk).delete()


def _by_binding(instance: Any, attribute: str) -> dict[type[Binding], Any]:
    """The dict on ``instance`` in which bindings keep something from before a change until after it."""
    values: dict[type[Binding], Any] = instance.__dict__.setdefault(attribute, {})
    return values


def _user_of(message: Message) -> Any:
    user = getattr(message, "user", None)
    if user is not None:
        return user
    # The module defines models, so it cannot be imported before Django is set up.
    from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415

    return AnonymousUser()


def _missing(cls: type, method: str) -> NotImplementedError:
    return NotImplementedError(f"{cls.__name__} has to define {method}")
