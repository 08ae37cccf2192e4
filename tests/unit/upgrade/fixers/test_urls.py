"""The fixer ``urls``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    (
        "from django.conf.urls import include, url\nu = [url(r'^a/$', b), url(r'^c', include('d'))]\n",
        "from django.urls import include, re_path\nu = [re_path(r'^a/$', b), re_path(r'^c', include('d'))]\n",
    ),
    (
        "from django.conf.urls import patterns, url\nu = patterns('',\n    url(r'^a$', b),\n)\n",
        "from django.urls import re_path\nu = [\n    re_path(r'^a$', b),\n]\n",
    ),
    (
        "from django.conf.urls import url, handler404\nurl('a', b)\n",
        "from django.urls import re_path\nfrom django.conf.urls import handler404\nre_path('a', b)\n",
    ),
    (
        "from django.conf.urls import url\nurl('a', b)\ndef f(url):\n    return url\n",
        "from django.urls import re_path as url\nurl('a', b)\ndef f(url):\n    return url\n",
    ),
    ("u = i18n_patterns('', a)\n", "u = i18n_patterns(a)\n"),
    ("include(admin.site.urls)\n", "admin.site.urls\n"),
    ("include('a.urls', namespace='n', app_name='m')\n", "include(('a.urls', 'm'), namespace='n')\n"),
    Case(
        "include('a.urls', namespace='n')\n",
        "include(('a.urls', 'n'), namespace='n')\n",
        others={"a/urls.py": "x = 1\n"},
    ),
]

KEEPS = [
    "from django.conf.urls import include\ninclude('a')\n",
    "from django.urls import re_path\nre_path('a', b)\n",
    Case("include('a.urls', namespace='n')\n", others={"a/urls.py": "app_name = 'm'\n"}),
    "include(('a.urls', 'm'), namespace='n')\n",
    "from project.urls import url, patterns\npatterns('', url('a'))\n",
    "url = response['url']\nprint(url)\n",
    "include('installed.urls', namespace='n')\n",
]

TELLS = [
    ("from django.urls import re_path\nre_path(r'^a', 'app.views.a')\n", "2: 'app.views.a': a view is no string"),
    ("from django.conf.urls import *\n", "import include and re_path"),
    ("from django.conf.urls.defaults import url\n", "is gone"),
    ("from django.conf.urls import patterns\nu = patterns('a.views', x)\n", "2: patterns() with a prefix"),
]
