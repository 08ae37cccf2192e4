from django.contrib import admin

from .models import Value

admin.site.register(Value, list_display=["name", "value"])
