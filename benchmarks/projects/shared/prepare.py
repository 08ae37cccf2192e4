"""Makes the database in ``BENCHMARK_DATABASE``, with a user who is logged in, and prints the key of the session."""

import django
from django.conf import settings

if __name__ == "__main__":
    settings.configure(**{name: value for name, value in vars(__import__("base")).items() if name.isupper()})
    django.setup()

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create(username="joe", password="x")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    print(session.session_key)
