"""``runserver`` serves sockets, whichever app's ``runserver`` Django finds first.

Django takes the command of the app that is listed first. That of staticfiles extends Django's own; here it
is made to extend ours, as Channels 1.x did (AP-04), so that the order of ``INSTALLED_APPS`` does not matter.
"""

from __future__ import annotations

from django.apps import apps


def monkeypatch_django() -> None:
    """Make the ``runserver`` of staticfiles extend ours; again changes nothing (AP-04)."""
    if not apps.is_installed("django.contrib.staticfiles"):
        return
    from django.contrib.staticfiles.management.commands import runserver as staticfiles
    from django.core.management.commands.runserver import Command as DjangoCommand

    from .management.commands.runserver import Command

    if staticfiles.Command.__bases__ == (DjangoCommand,):
        staticfiles.Command.__bases__ = (Command,)
