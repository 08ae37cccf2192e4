"""A session engine that a project has made of signed cookies."""

from django.contrib.sessions.backends import signed_cookies


class SessionStore(signed_cookies.SessionStore):
    """Sessions in signed cookies."""
