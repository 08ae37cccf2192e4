from django.apps import AppConfig, apps


class CardsConfig(AppConfig):
    name = "cards"

    def ready(self):
        from . import bindings, receivers  # noqa

        if not apps.is_installed("channels"):
            raise RuntimeError("channels is missing")
