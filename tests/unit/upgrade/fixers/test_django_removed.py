"""The fixer ``django_removed``."""

import ast
from pathlib import Path

import django
import pytest

from routechan.upgrade.installed import has_module, has_name

from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES: list[tuple[str, str]] = []

KEEPS = [
    "from django.db import models, transaction, connection, IntegrityError\n",
    "from django.contrib import admin, messages\nimport django.db.models\n",
    "from django.contrib.postgres.fields import ArrayField\nfrom django.utils.translation import gettext as _\n",
    "try:\n    from django.utils.log import NullHandler\nexcept ImportError:\n    from logging import NullHandler\n",
    "if django.VERSION < (1, 8):\n    from django.contrib.admin.util import unquote\n",
    "BACKEND = 'django.core.cache.backends.locmem.LocMemCache'\nLOGGER = 'django.request'\n",
    "names = ['django.db.backends.sqlite3', 'django.contrib.auth', 'django.views.static.serve']\n",
    "from django_extensions.db.fields import UUIDField\nfrom djangorestframework import Gone\nfrom .django import a\n",
    "from django.core.cache import get_cache\n",  # django_names says what to do
    "x.allow_tags\nREQUEST = request.GET\nself.option_list = []\ntransaction.atomic()\n",
]

TELLS = [
    ("from django.utils.log import NullHandler\n", "1: django.utils.log.NullHandler is not in Django"),
    ("from django.core.management.base import BaseCommand, NoArgsCommand\n", "write BaseCommand, with handle()"),
    ("from django.contrib.admin.util import unquote\n", "write django.contrib.admin.utils"),
    ("import django.contrib.comments\n", "django-contrib-comments"),
    ("from django.contrib.comments.models import Comment\n", "django-contrib-comments"),
    ("from django.utils.datastructures import MergeDict\n", "its release notes say why"),
    ("TEST_RUNNER = 'django.test.simple.DjangoTestSuiteRunner'\n", "write django.test.runner.DiscoverRunner"),
    ("B = 'django.core.cache.backends.memcached.MemcachedCache'\n", "write PyMemcacheCache"),
    ("H = {'class': 'django.utils.log.NullHandler'}\n", "it is in logging"),
    ("class Command(BaseCommand):\n    option_list = ()\n", "2: option_list of a command is gone"),
    ("def f(self, a): return a\nf.allow_tags = True\n", "2: allow_tags means nothing"),
    ("import django\n@transaction.commit_on_success\ndef f(): pass\n", "write atomic"),
    ("x = self.request.REQUEST.get('a')\n", "write request.GET or request.POST"),
    ("class M(Manager):\n    def get_query_set(self): pass\n", "write get_queryset"),
    ("A.objects.get_query_set()\n", "write get_queryset"),
]


def test_names_are_those_of_django() -> None:
    """Each name that Django's own modules import from each other is found, so none is named in vain."""
    root = Path(django.__file__).parent
    looked_up = 0
    for file in [*root.glob("db/models/**/*.py"), *root.glob("contrib/admin/**/*.py"), *root.glob("core/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("django."):
                assert has_module(node.module), node.module
                for alias in node.names:
                    assert alias.name == "*" or has_name(node.module, alias.name), f"{node.module}.{alias.name}"
                    looked_up += 1
    assert looked_up > 500


@pytest.mark.parametrize("module", ["nowhere.at.all", "nowhere"])
def test_what_is_not_installed_is_not_named(module: str) -> None:
    """Of a package that is not there nobody knows what it has."""
    assert has_module(module)
    assert has_name(module, "anything")
