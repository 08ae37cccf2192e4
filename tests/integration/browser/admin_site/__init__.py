"""A site with the admin, in which the page of ``routechan_django.overview`` is looked at."""
