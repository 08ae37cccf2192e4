"""Old import names: an unchanged Channels 1.x project imports this library as ``channels``.

Call ``install`` in each process before anything imports ``channels``. The top of the project's ``__init__.py`` is a
place that every server, worker, command and test runs::

    from routechan_django.alias import install

    install()

To try a project without changing a file: ``python -m routechan_django.alias manage.py runserver``.
"""

from .install import install

__all__ = ["install"]
