"""A page in Django's admin that shows the channels of the site now: ``"routechan_django.overview"``, an app."""
