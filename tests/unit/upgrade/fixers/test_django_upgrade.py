"""The fixer ``django_upgrade``."""

from .cases import Case, test_changes, test_keeps

__all__ = ["test_changes", "test_keeps"]

CHANGES = [
    (
        "from django.db import models\nx = models.ForeignKey('a')\n",
        "from django.db import models\nx = models.ForeignKey('a', on_delete=models.CASCADE)\n",
    ),
    ("from django.utils.translation import ugettext as _\n", "from django.utils.translation import gettext as _\n"),
    ("from django.core.urlresolvers import reverse\n", "from django.urls import reverse\n"),
    (
        "from django.dispatch import Signal\ns = Signal(providing_args=['a'])\n",
        "from django.dispatch import Signal\ns = Signal()\n",
    ),
    (
        "from django.utils.encoding import force_text\nforce_text(a)\n",
        "from django.utils.encoding import force_str\nforce_str(a)\n",
    ),
    Case("default_app_config = 'a.apps.A'\n", "", "app/__init__.py"),
    (
        "from django.contrib.postgres.fields import JSONField\nx = JSONField()\n",
        "from django.db.models import JSONField\nx = JSONField()\n",
    ),
]

KEEPS = [
    "from django.conf.urls import url\nu = [url(r'^a/$', b)]\n",
    "def f(request):\n    return request.META['HTTP_ACCEPT']\n",
    "from django.contrib import admin\nadmin.site.register(A, B)\n",
    "from django.db import models\nx = models.ForeignKey('a', on_delete=models.CASCADE)\n",
    "x = u'a'\nsuper(A, self).b()\n",
]
