"""The fixer ``auth_views``."""

from ..helpers import run, told
from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

L = "from django.contrib.auth.views import "

CHANGES = [
    (L + "login\n\nurl(r'^l$', login)\n", L + "LoginView\n\nurl(r'^l$', LoginView.as_view())\n"),
    (
        "from django.contrib.auth import views as v\nurl(r'^l$', v.login, {'template_name': 'a'}, name='l')\n",
        "from django.contrib.auth import views as v\nurl(r'^l$', v.LoginView.as_view(template_name='a'), name='l')\n",
    ),
    (
        "import django\nurl(r'^l$', 'django.contrib.auth.views.logout', {'next_page': '/'})\n",
        "import django\nfrom django.contrib.auth.views import LogoutView\n"
        "url(r'^l$', LogoutView.as_view(next_page='/'))\n",
    ),
]

KEEPS = [
    "from django.contrib.auth import login, logout\nurl(r'^l$', login)\n",
    L + "LoginView\nurl(r'^l$', LoginView.as_view())\n",
    "from project.views import login\nurl(r'^l$', login)\n",
    "from django.contrib.auth.decorators import login_required\n",
]

TELLS = [
    (L + "login\n\nview = wrap(login)\n", "login is gone: write LoginView.as_view()"),
    (L + "login\n\nurl(r'^l$', login, {'authentication_form': F})\n", "with what it is given here"),
]


def test_logout_takes_post() -> None:
    """LogoutView is worth a look after the file is rewritten, and not only in the pass that writes it."""
    result = run("auth_views", {"urls.py": L + "logout\n\nurl(r'^l$', logout)\n"})
    assert told(result) == ["3: LogoutView takes POST only since Django 5.0: log out with a form"]
    assert not result.places[0].must
