"""The name ``routechan_django.test`` had in Channels 1.0; there are no tests here."""

from __future__ import annotations

import warnings

from .test import *  # noqa: F403
from .test import __all__ as __all__

#: Makes ``channels.tests.base`` and ``channels.tests.http`` importable through the alias.
__path__: list[str] = []

warnings.warn(
    f"{__name__} is deprecated; import from routechan_django.test",
    DeprecationWarning,
    stacklevel=2,
)
