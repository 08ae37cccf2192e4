"""The fixer ``django_names``."""

from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    (
        "from django.utils.encoding import python_2_unicode_compatible\n\n\n"
        "@python_2_unicode_compatible\nclass A:\n    pass\n",
        "class A:\n    pass\n",
    ),
    (
        "from django.utils.encoding import smart_unicode, force_str\nsmart_unicode(a)\n",
        "from django.utils.encoding import smart_str, force_str\nsmart_str(a)\n",
    ),
    ("x = ['django.core.context_processors.request']\n", "x = ['django.template.context_processors.request']\n"),
    (
        "from django.db.models.loading import get_model\nget_model('a', 'b')\n",
        "from django.apps import apps\napps.get_model('a', 'b')\n",
    ),
    (
        "from django.utils.datastructures import SortedDict, MultiValueDict\nSortedDict()\n",
        "from collections import OrderedDict\nfrom django.utils.datastructures import MultiValueDict\nOrderedDict()\n",
    ),
    ("from django.utils.importlib import import_module\n", "from importlib import import_module\n"),
]

KEEPS = [
    "from django.apps import apps\napps.get_model('a', 'b')\n",
    "from django.utils.encoding import force_str\n",
    "x = 'django.core.context_processors'\n",
    "from project.encoding import smart_unicode\nsmart_unicode(a)\n",
    "def get_model(a): pass\nget_model(1)\n",
]

TELLS = [
    ("from django.core.cache import get_cache\n", "write caches[alias]"),
    ("from django.contrib.contenttypes import generic\n", "the modules fields, forms and admin"),
    ("from django.utils.timezone import utc\n", "write datetime.timezone.utc"),
    ("from django.db.models import get_model\napps = 1\n", "write apps.get_model"),
]
