"""The fixer ``ordering``."""

from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("@enforce_ordering(slight=True)\ndef f(message): pass\n", "@enforce_ordering\ndef f(message): pass\n"),
    ("@sessions.enforce_ordering(slight=True)\ndef f(m): pass\n", "@sessions.enforce_ordering\ndef f(m): pass\n"),
    ("f = enforce_ordering(g, slight=True)\n", "f = enforce_ordering(g)\n"),
    ("class A(B):\n    slight_ordering = True\n", "class A(B):\n    strict_ordering = True\n"),
]

KEEPS = [
    "@enforce_ordering\ndef f(message): pass\n",
    "@enforce_ordering()\ndef f(message): pass\n",
    "class A(B):\n    strict_ordering = True\n",
    "slight = True\nslight_ordering = True\n",
]

TELLS = [
    ("class A(B):\n    slight_ordering = False\n", "2: slight_ordering = False"),
    ("class A(B):\n    strict_ordering = True\n    slight_ordering = True\n", "keep that alone"),
]
