"""Sessions and the order of events: the modules of ``routechan_django.sessions``."""
