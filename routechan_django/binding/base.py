"""``Binding``: what happens to a model goes out to groups, and what clients ask for is done to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from routechan.channel import Group
from routechan.encoding import Content
from routechan.message import Message

from ..auth import channel_session_user
from ..sessions import channel_session
from .stored import StoredRow

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

CREATE = "create"
UPDATE = "update"
DELETE = "delete"

#: As ``fields``, alone or in a list: every field.
ALL_FIELDS = "__all__"


class BindingMetaclass(type):
    """Collects bindings and, once all models are loaded, has them listen to the signals of theirs (BI-01 to BI-03)."""

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
        """Register what was declared so far; what is declared later registers at once."""
        for binding in mcs.binding_classes:
            binding.register()
        mcs.register_immediately = True


class Binding(metaclass=BindingMetaclass):
    """Binds a model to a stream. Lifetime of an instance: one change, or one message.

    A subclass names ``model`` (a class or ``"app_label.Model"``; None, written out, makes it abstract) and ``fields``
    or ``exclude``, which hold in both directions, and defines ``group_names``, ``has_permission`` and the four methods
    of its transport: ``encode``, ``serialize``, ``deserialize``, and ``create`` and ``update``.
    """

    model: ClassVar[Any] = None

    #: The fields that go out and that clients may set: names, or ``"__all__"``.
    fields: ClassVar[str | Sequence[str] | None] = None

    #: Fields that neither go out nor may be set, whatever ``fields`` says.
    exclude: ClassVar[str | Sequence[str] | None] = None

    #: Give inbound messages a user and a session.
    channel_session_user: ClassVar[bool] = True
    channel_session: ClassVar[bool] = False

    #: What the signal said about the change, beside the instance (BI-13).
    signal_kwargs: dict[str, Any] | None = None

    model_label: ClassVar[str]
    stream: ClassVar[str | None] = None

    # Of a change
    instance: Any

    # Of a message
    message: Message
    kwargs: dict[str, Any]
    action: str
    pk: Any
    data: Any
    user: Any

    # Registration

    @classmethod
    def register(cls) -> None:
        """Listen to the signals of the models; again changes nothing (BI-04)."""
        for model in cls.get_registered_models():
            pre_save.connect(cls.pre_save_receiver, sender=model)
            post_save.connect(cls.post_save_receiver, sender=model)
            pre_delete.connect(cls.pre_delete_receiver, sender=model)
            post_delete.connect(cls.post_delete_receiver, sender=model)

    @classmethod
    def get_registered_models(cls) -> list[type[Model]]:
        """The models to listen to; an override that gives several has to set ``model_label`` (BI-05)."""
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
        cls.model_label = cls.model._meta.label.lower()
        return [cls.model]

    # Outbound: signals of the model

    @classmethod
    def pre_save_receiver(cls, instance: Any, **kwargs: Any) -> None:
        creating = instance._state.adding
        rows = _of(instance, "_binding_stored_rows")
        rows[cls] = None if creating else StoredRow(instance, kwargs.get("using"))
        cls.pre_change_receiver(instance, CREATE if creating else UPDATE)

    @classmethod
    def post_save_receiver(cls, instance: Any, created: bool, **kwargs: Any) -> None:
        cls.post_change_receiver(instance, CREATE if created else UPDATE, **kwargs)

    @classmethod
    def pre_delete_receiver(cls, instance: Any, **kwargs: Any) -> None:
        _of(instance, "_binding_stored_rows").pop(cls, None)
        cls.pre_change_receiver(instance, DELETE)

    @classmethod
    def post_delete_receiver(cls, instance: Any, **kwargs: Any) -> None:
        cls.post_change_receiver(instance, DELETE, **kwargs)

    @classmethod
    def pre_change_receiver(cls, instance: Any, action: str) -> None:
        """Keep the groups that could see the instance before: those of the stored row (BI-08, OB-15)."""
        row: StoredRow | None = _of(instance, "_binding_stored_rows").get(cls)
        names: set[str] = set()
        if action != CREATE:
            names = set(cls.group_names(instance)) if row is None else row.names(cls.group_names)
        _of(instance, "_binding_group_names")[cls] = names

    @classmethod
    def post_change_receiver(cls, instance: Any, action: str, **kwargs: Any) -> None:
        """Send what the change is to each group: a delete, an update or a create, in this order (BI-09)."""
        old_names: set[str] = _of(instance, "_binding_group_names").pop(cls, set())
        row: StoredRow | None = _of(instance, "_binding_stored_rows").pop(cls, None)
        new_names: set[str] = set()
        if action != DELETE:
            # What was changed in memory only, beside ``update_fields``, shows the instance to nobody.
            partly = row is not None and kwargs.get("update_fields") is not None
            now = StoredRow(instance, kwargs.get("using")) if partly else None
            new_names = set(cls.group_names(instance)) if now is None else now.names(cls.group_names)
        binding = cls()
        binding.instance = instance
        # Who may not see it any more gets to see what they could see before, not what it is now.
        before = (row and row.instance) or instance
        binding.send_messages(before, old_names - new_names, DELETE, **kwargs)
        binding.send_messages(instance, old_names & new_names, UPDATE, **kwargs)
        binding.send_messages(instance, new_names - old_names, CREATE, **kwargs)

    def send_messages(self, instance: Any, group_names: Iterable[str], action: str, **kwargs: Any) -> None:
        """Serialize once and send to each group; nothing where there are none, or nothing to tell (BI-13, BI-14)."""
        if not group_names:
            return
        self.signal_kwargs = kwargs
        payload = self.serialize(instance, action)
        if payload == {}:
            return
        if self.stream is None:
            raise ValueError(f"{type(self).__name__} has no stream: write stream = 'name', by which clients know it")
        message = self.encode(self.stream, payload)
        for name in group_names:
            Group(name).send(message)

    @classmethod
    def group_names(cls, instance: Any) -> Iterable[str]:
        """The groups that may see ``instance``; to be defined (BI-10)."""
        raise _missing(cls, "group_names(cls, instance)")

    @classmethod
    def encode(cls, stream: str, payload: Any) -> Content:
        """The message that carries ``payload``; for a transport to define."""
        raise _missing(cls, "encode(cls, stream, payload)")

    def serialize(self, instance: Any, action: str) -> Any:
        """The payload that tells of ``action``; ``{}`` sends nothing; for a transport to define."""
        raise _missing(type(self), "serialize(self, instance, action)")

    # Inbound: messages of clients

    @classmethod
    def consumer(cls, message: Message, **kwargs: Any) -> None:
        """The consumer of inbound messages, for a route or a demultiplexer (BI-20)."""
        cls.get_handler()(message, **kwargs)

    @classmethod
    def get_handler(cls) -> Callable[..., Any]:
        """``trigger_inbound``, decorated (BI-21)."""
        handler: Callable[..., Any] = cls.trigger_inbound
        if cls.channel_session_user:
            return channel_session_user(handler)
        return channel_session(handler) if cls.channel_session else handler

    @classmethod
    def trigger_inbound(cls, message: Message, **kwargs: Any) -> None:
        """Do what a message asks for (BI-23)."""
        binding = cls()
        binding.message = message
        binding.kwargs = kwargs
        binding.action, binding.pk, binding.data = binding.deserialize(message)
        binding.user = _user_of(message)
        binding.run_action(binding.action, binding.pk, binding.data)

    def deserialize(self, message: Message) -> tuple[str, Any, Any]:
        """``(action, pk, data)`` of a message; for a transport to define."""
        raise _missing(type(self), "deserialize(self, message)")

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        """Whether ``user`` may do ``action``; ``pk`` is None for a create; to be defined."""
        raise _missing(type(self), "has_permission(self, user, action, pk)")

    def run_action(self, action: str, pk: Any, data: Any) -> None:
        """Create, update or delete; without permission nothing, silently (BI-25)."""
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
        """Make an instance; for a transport to define."""
        raise _missing(type(self), "create(self, data)")

    def update(self, pk: Any, data: Any) -> None:
        """Change an instance; for a transport to define."""
        raise _missing(type(self), "update(self, pk, data)")

    def delete(self, pk: Any) -> None:
        """Delete the instance; that there is none is no error (BI-29)."""
        self.model.objects.filter(pk=pk).delete()


def _of(instance: Any, attribute: str) -> dict[type[Binding], Any]:
    """What the bindings keep on ``instance`` from before a change until after it."""
    kept: dict[type[Binding], Any] = instance.__dict__.setdefault(attribute, {})
    return kept


def _user_of(message: Message) -> Any:
    if hasattr(message, "user"):
        return message.user
    # Its module holds models, which cannot be imported before Django is set up.
    from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415

    return AnonymousUser()


def _missing(cls: type, method: str) -> NotImplementedError:
    return NotImplementedError(f"{cls.__name__} has to define {method}")
