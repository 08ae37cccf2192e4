"""The fixer ``templates``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

T = "app/templates/a.html"

CHANGES = [
    Case("{% load staticfiles %}\n", "{% load static %}\n", T),
    Case("{% load i18n staticfiles static %}\n", "{% load i18n static %}\n", T),
    Case("{% load static from staticfiles %}\n", "{% load static %}\n", T),
    Case("{%load admin_static%}\n", "{%load static%}\n", T),
    Case("{% ifequal a 'b c' %}x{% else %}y{% endifequal %}\n", "{% if a == 'b c' %}x{% else %}y{% endif %}\n", T),
    Case("{% ifnotequal a.b 1 %}x{% endifnotequal %}\n", "{% if a.b != 1 %}x{% endif %}\n", T),
]

KEEPS = [
    Case("{% load static i18n %}\n", "", T),
    Case("{% if a == b %}x{% endif %}\n", "", T),
    Case("staticfiles, ifequal\n", "", T),
    Case("x = '{% load staticfiles %}'\n", "", "app/code.py"),
]

TELLS = [Case("{% url 'django.contrib.auth.views.login' %}\n", "a URL is named by the name of its route", T)]
