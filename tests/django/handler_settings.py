"""A project whose requests a route takes, for real servers."""

from tests.django.settings import *  # noqa: F403

ROOT_URLCONF = "tests.django.handler_urls"
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tests.django.handler_urls.asynchronous",
]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.InMemoryChannelLayer",
        "ROUTING": "tests.django.handler_routing.channel_routing",
    },
}
ROUTECHAN = {"HTTP_TIMEOUT": 3, "THREADS": 4}
