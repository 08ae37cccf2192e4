"""An unchanged Channels 1.x project on routechan: ``channels`` and its submodules become ours.

Once in each process, before anything imports ``channels``; the top of the project's ``__init__.py`` is run by
every server, worker, command and test::

    from routechan_django.alias import install

    install()

To try a project without changing a file: ``python -m routechan_django.alias manage.py runserver``.
"""

from .install import install

__all__ = ["install"]
