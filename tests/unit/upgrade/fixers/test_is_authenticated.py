"""The fixer ``is_authenticated``."""

from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("if request.user.is_authenticated(): pass\n", "if request.user.is_authenticated: pass\n"),
    ("x = not message.user.is_anonymous() and y\n", "x = not message.user.is_anonymous and y\n"),
    ("get_user(request).is_authenticated()\n", "get_user(request).is_authenticated\n"),
]

KEEPS = [
    "request.user.is_authenticated\n",
    "def is_authenticated(self): return True\n",
    "is_authenticated(user)\n",
    "user.is_authenticated(token)\n",
]

TELLS = [("self.request.auth.is_authenticated()\n", "if this is a user")]
