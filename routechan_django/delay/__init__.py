"""The delay server: messages on ``asgi.delay`` wait in the database until they are due (spec section 9)."""

#: For code that reads it; Django finds the config by itself.
default_app_config = "routechan_django.delay.apps.DelayConfig"
