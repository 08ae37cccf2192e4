"""The fixer ``python2_names``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("for k, v in d.iteritems(): unicode(v)\n", "for k, v in d.items(): str(v)\n"),
    ("isinstance(a, basestring) and xrange(3)\n", "isinstance(a, str) and range(3)\n"),
    (
        "class A:\n    def __unicode__(self):\n        return u'a'\n",
        "class A:\n    def __str__(self):\n        return u'a'\n",
    ),
    ("import urlparse\nurlparse.urljoin(a, b)\n", "from urllib import parse as urlparse\nurlparse.urljoin(a, b)\n"),
    (
        "from urlparse import parse_qs\nfrom StringIO import StringIO\n",
        "from urllib.parse import parse_qs\nfrom io import StringIO\n",
    ),
    ("from urllib import quote, urlencode\n", "from urllib.parse import quote, urlencode\n"),
    ("import Queue, cPickle as pickle\n", "import queue as Queue, pickle\n"),
    ("self.assertItemsEqual(a, b)\n", "self.assertCountEqual(a, b)\n"),
    (
        "import os\nx = reduce(f, y) + sys.maxint\n",
        "import os\nfrom functools import reduce\nx = reduce(f, y) + sys.maxsize\n",
    ),
    (
        "from urllib2 import urlopen, HTTPError\n",
        "from urllib.request import urlopen\nfrom urllib.error import HTTPError\n",
    ),
]

KEEPS = [
    "cache.has_key('a')\n",
    "try:\n    unicode\nexcept NameError:\n    unicode = str\nunicode(a)\n",
    "from six.moves import xrange\nxrange(3)\n",
    "try:\n    text = unicode(a)\nexcept NameError:\n    text = str(a)\n",
    "try:\n    from urlparse import parse_qs\nexcept ImportError:\n    from urllib.parse import parse_qs\n",
    "x = unicode(a) if six.PY2 else str(a)\n",
    "import six\nsix.iteritems(d)\n",
    "def long(a): pass\nlong(1)\n",
    "for k in d.keys(): print(k)\n",
    Case("import Queue\n", others={"Queue.py": ""}),
]

TELLS = [
    ("d.has_key(a)\n", "dicts have no has_key"),
    ("d.keys()[0]\n", "make a list of it first"),
    ("import urllib2\n", "urllib2 is urllib.request"),
    ("import urllib\nurllib.quote(a)\n", "2: urllib.quote is urllib.parse.quote"),
    ("import StringIO\n", "io.BytesIO for bytes"),
    ("execfile('a')\n", "execfile is gone"),
    ("class A:\n    def __unicode__(self): pass\n    def __str__(self): pass\n", "never called in Python 3"),
]
