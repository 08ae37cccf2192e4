"""The fixer ``leftovers``."""

from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("render(request, 'a', {'b': 1}, RequestContext(request))\n", "render(request, 'a', {'b': 1})\n"),
    ("render(request, 'a', b, context_instance=RequestContext(request))\n", "render(request, 'a', b)\n"),
    ("render(request, 'a', RequestContext(request, {'b': 1}))\n", "render(request, 'a', {'b': 1})\n"),
    (
        "from celery import task, Celery\n@task\ndef a(): pass\n",
        "from celery import shared_task, Celery\n@shared_task\ndef a(): pass\n",
    ),
    ("from celery.task.schedules import crontab\n", "from celery.schedules import crontab\n"),
    ("if request.is_ajax(): pass\n", 'if request.headers.get("x-requested-with") == "XMLHttpRequest": pass\n'),
    ("x = f(self.request.is_ajax())\n", 'x = f((self.request.headers.get("x-requested-with") == "XMLHttpRequest"))\n'),
    (
        "def from_db_value(self, value, expression, connection, context):\n    return value\n",
        "def from_db_value(self, value, expression, connection):\n    return value\n",
    ),
    (
        "from celery.task import task\n\n@task\ndef a(): pass\n",
        "from celery import shared_task\n\n@shared_task\ndef a(): pass\n",
    ),
    ("HttpResponse('a', mimetype='b')\n", "HttpResponse('a', content_type='b')\n"),
    ("inspect.getargspec(f).args\n", "inspect.getfullargspec(f).args\n"),
    ("A = 1\n\nUSE_L10N = True\n\nB = 2\n", "A = 1\n\nB = 2\n"),
]

KEEPS = [
    "from celery import shared_task, Celery\n",
    "def from_db_value(self, value, expression, connection):\n    return value\n",
    "x = request.is_ajax\n",
    "from sqlalchemy import ForeignKey\nForeignKey('a.id')\n",
    "try:\n    import imp\nexcept ImportError:\n    pass\n",
    "ROOT_URLCONF = 'a'\nDEFAULT_AUTO_FIELD = 'b'\n",
    "response['mimetype'] = f(mimetype='a')\n",
]

TELLS = [
    ("import djcelery\n", "needs an old Celery"),
    ("from celery.task import periodic_task\n", "beat_schedule for periodic_task"),
    ("from daphne.server import Server\n", "an ASGI server serves project.asgi:application"),
    ("inspect.getargspec(f)\n", "getargspec is gone"),
    ("TEMPLATE_DIRS = ()\n", "write DIRS of TEMPLATES"),
    ("S = 'django.contrib.sessions.serializers.PickleSerializer'\n", "keep JSON in sessions"),
    ("name.startswith('daphne.response')\n", "reply channels have other names"),
    ("local('daphne -p 1 p.asgi:channel_layer')\n", "write uvicorn"),
    ("class D(WebsocketDemultiplexer):\n    mapping = {}\n", "2: mapping of a demultiplexer"),
    ("from django.contrib.gis.db import models as gis\nf = gis.ForeignKey('a')\n", "has no on_delete"),
    ("A._meta.get_all_field_names()\n", "write get_fields()"),
    ("x = field.rel.to\n", "remote_field.model"),
    ("from django.template.loader import get_template\nget_template('a').render(Context({}))\n", "takes a dict"),
    ("render('a', {}, context_instance=RequestContext(request))\n", "takes no RequestContext"),
    ("render(request, 'a', RequestContext(request, {}, x))\n", "takes no RequestContext"),
    ("ROOT_URLCONF = 'a'\n", "there is no DEFAULT_AUTO_FIELD"),
    ("def from_db_value(self, value, expression, connection, context):\n    return context\n", "this uses it"),
]
