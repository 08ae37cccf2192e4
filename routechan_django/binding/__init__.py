"""Models bound to groups and channels: changes become messages, and messages of clients become changes."""

from .base import Binding

__all__ = ["Binding"]
