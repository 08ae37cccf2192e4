"""Models bound to channels: changes go out as messages, messages come in as changes."""

from .base import Binding

__all__ = ["Binding"]
