"""The consumers of ``routes.py``, run in the server process."""

from routes import routing

from routechan import application

app = application(routing)
