"""A project whose requests a route takes, for real servers."""

from tests.unit.django.settings import *  # noqa: F403

ROOT_URLCONF = "tests.unit.django.views"
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tests.unit.django.views.asynchronous",
]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.InMemoryChannelLayer",
        "ROUTING": "tests.unit.django.processes.routing.channel_routing",
    },
}
ROUTECHAN = {"HTTP_TIMEOUT": 3, "THREADS": 4}
