"""What projects test with: the modules of ``routechan_django.test``."""
