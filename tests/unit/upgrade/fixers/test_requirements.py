"""The fixer ``requirements``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

R = "requirements.txt"

CHANGES = [
    Case(
        "a==1\nasgi-redis==1.4.3\nasgiref==1.1.2\nchannels==1.1.8  # sockets\ndaphne>=1,<2\nsix\n",
        "a==1\nroutechan[server]  # sockets\nsix\n",
        R,
    ),
    Case("daphne\nx\n", "x\n", "requirements/production.txt", {"requirements/base.txt": "channels==1.1.8\n"}),
    Case("Channels>=1.0,<2.0\n", "routechan[server]\n", "requirements/base.txt"),
    Case("channels[x]\r\nasgi_redis\r\n", "routechan[server]\r\n", "requirements/base.in"),
    Case(
        "setup(install_requires=['django', 'channels~=1.1', 'asgi_redis'], extras_require={'t': ['daphne', 'x']})\n",
        "setup(install_requires=['django', 'routechan[server]'], extras_require={'t': ['x']})\n",
        "setup.py",
    ),
    Case(
        "REQUIRES = [\n    'channels',\n    'asgi_redis',\n]\n",
        "REQUIRES = [\n    'routechan[server]',\n]\n",
        "setup.py",
    ),
    Case(
        "[options]\ninstall_requires =\n    channels>=1\n    daphne\n",
        "[options]\ninstall_requires =\n    routechan[server]\n",
        "setup.cfg",
    ),
]

KEEPS = [
    Case("channels>=2.0\ndaphne==4.0\nasgiref==3.7\n", "", R),
    Case("routechan[server]\nasgiref>=3.7\ndjango>=4.2\nredis==5.0\n", "", R),
    Case("channels==1.1.8\n", "", "docs/notes.txt"),
    Case("# channels\n-r base.txt\ndjango-channels-presence\n", "", R),
    Case("setup(name='channels', packages=['channels'], keywords=['channels'])\n", "", "setup.py"),
    Case("FROM python:3.12\n", "", "Dockerfile"),
]

TELLS = [
    Case("dependencies:\n  - pip:\n    - channels==1.1.6\n", "3: - channels==1.1.6", "environment.yml"),
    Case("Django==1.11.5\nroutechan\n", "1: Django==1.11.5: it has to be Django 4.2 or later", R),
    Case("Django>=1.10,<1.11\nroutechan\n", "Django 4.2 or later", R),
    Case("redis==2.10.6\nroutechan\n", "redis 5 or later", R),
    Case("msgpack-python==0.4.8\nroutechan\n", "which is its name now", R),
    Case("-e git+https://github.com/django/channels.git#egg=channels\n", "require routechan[server] in its place", R),
    Case("channels==1.1.8 --hash=sha256:0\n", "a generated file", R),
    Case("[packages]\nchannels = '*'\n", "2: channels = '*'", "Pipfile"),
    Case("[testenv]\ndeps = channels>=1\n", "2: deps = channels>=1", "tox.ini"),
    Case("FROM python:3.5\n", "Python 3.10 or later", "Dockerfile"),
    Case("python-2.7.12\n", "Python 3.10 or later", "runtime.txt"),
]
