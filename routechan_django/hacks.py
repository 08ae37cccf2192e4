"""``runserver`` serves sockets whatever the order of ``INSTALLED_APPS``.

Django runs the ``runserver`` of the app that is listed first. The one of staticfiles extends Django's own command;
it is patched to extend ours, as in Channels 1.x (AP-04).
"""

from __future__ import annotations

from django.apps import apps


def monkeypatch_django() -> None:
    """Make the ``runserver`` of staticfiles extend ours (AP-04).

    Idempotent.
    """
    if not apps.is_installed("django.contrib.staticfiles"):
        return
    from django.contrib.staticfiles.management.commands import runserver as staticfiles
    from django.core.management.commands.runserver import Command as DjangoCommand

    from .management.commands.runserver import Command

    if staticfiles.Command.__bases__ == (DjangoCommand,):
        staticfiles.Command.__bases__ = (Command,)
