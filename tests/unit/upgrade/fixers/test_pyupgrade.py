"""The fixer ``pyupgrade``."""

from .cases import test_changes, test_keeps

__all__ = ["test_changes", "test_keeps"]

CHANGES = [
    ("import six\nfor k in six.iteritems(d): pass\n", "import six\nfor k in d.items(): pass\n"),
    ("from six import text_type\nx = text_type(a)\n", "from six import text_type\nx = str(a)\n"),
    ("from collections import Mapping\n", "from collections.abc import Mapping\n"),
    (
        "class T(TestCase):\n    def t(self):\n        self.assertEquals(1, 2)\n",
        "class T(TestCase):\n    def t(self):\n        self.assertEqual(1, 2)\n",
    ),
    ("from mock import patch\n", "from unittest.mock import patch\n"),
    (
        "from six.moves import range, urllib\nx = u'a'\nsuper(A, self).b()\n",
        "from six.moves import urllib\nx = u'a'\nsuper(A, self).b()\n",
    ),
]

KEEPS = [
    "# -*- coding: utf-8 -*-\nfrom __future__ import unicode_literals\nclass A(object):\n    pass\n",
    "x = '%s' % a\ny = '{}'.format(b)\nz = u'c'\n",
    "class A(B):\n    def f(self):\n        return super(A, self).f()\n",
    "from collections import OrderedDict\n",
    "open('a', 'r')\nset([1])\n",
]
