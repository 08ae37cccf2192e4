"""What Django finds where ``INSTALLED_APPS`` has ``"routechan"``: an error that says what to write.

Django imports the module ``apps`` of each app. Imported by anything else, this one does nothing.
"""

from __future__ import annotations

import traceback

from .exceptions import RoutechanError

if any(frame.f_globals.get("__name__") == "django.apps.config" for frame, _ in traceback.walk_stack(None)):
    raise RoutechanError(
        "INSTALLED_APPS has 'routechan', the library without Django, which is no app: it brings no commands, no checks "
        "and no channel layers. Write 'routechan_django' in its place"
    )
