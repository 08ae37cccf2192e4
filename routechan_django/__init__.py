"""routechan in a Django project: add ``"routechan_django"`` to ``INSTALLED_APPS``."""
