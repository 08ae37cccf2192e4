"""The key of ``ROUTECHAN`` about sends."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SEND_ON_COMMIT = "SEND_ON_COMMIT"


def sends_on_commit() -> bool:
    """Whether sends outside of consumers wait for a commit where they do not say: ``SEND_ON_COMMIT``, by default False.

    Raises:
        ImproperlyConfigured: It is no bool.
    """
    setting = getattr(settings, "ROUTECHAN", None)  # the rest of it is checked by ``conf.server``
    value = setting.get(SEND_ON_COMMIT, False) if isinstance(setting, Mapping) else False
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f"ROUTECHAN[{SEND_ON_COMMIT!r}] is {value!r:.100}; expected True or False")
    return value
