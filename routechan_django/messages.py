"""The types of messages behind decorators, which give them sessions and users."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from django.contrib.sessions.backends.base import SessionBase

from routechan import Message

if TYPE_CHECKING:
    from django.contrib.auth.models import _AnyUser  # the user model of the settings, to the plugin for mypy

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
Result = TypeVar("Result")
Given = TypeVar("Given", bound=Message)


class SessionMessage(Message):
    """A message behind the decorators of ``routechan_django.sessions``, for annotations; none is ever made.

    It has those of the attributes that its decorators give; another one raises an ``AttributeError`` that says which
    decorator to add.
    """

    channel_session: SessionBase
    http_session: SessionBase | None


class UserMessage(SessionMessage):
    """A message behind the decorators of ``routechan_django.auth``, for annotations as ``SessionMessage`` is."""

    user: _AnyUser


class Decorator(Protocol[Given]):
    """The type of a decorator whose consumers are given more than a ``Message``: a function of the same signature.

    The consumer that it makes takes any ``Message``. One that needs more than the decorator gives keeps its type, so
    that ``route`` does not take it.
    """

    @overload
    def __call__(
        self, func: Callable[Concatenate[Given, P], Result], /
    ) -> Callable[Concatenate[Message, P], Result]: ...

    # A function of a message and **kwargs, which is none of the first to mypy.
    @overload
    def __call__(  # type: ignore[overload-cannot-match]
        self, func: Callable[Concatenate[Given, ...], Result], /
    ) -> Callable[Concatenate[Message, ...], Result]: ...

    # A method.
    @overload
    def __call__(
        self, func: Callable[Concatenate[Any, Given, P], Result], /
    ) -> Callable[Concatenate[Any, Message, P], Result]: ...

    # What needs another decorator further out.
    @overload
    def __call__(self, func: F, /) -> F: ...


def gives(message: type[Given]) -> Callable[[Callable[..., Any]], Decorator[Given]]:
    """What gives a decorator its type, and returns it as it is.

    Args:
        message: What consumers behind the decorator are given.
    """
    return lambda decorator: decorator
