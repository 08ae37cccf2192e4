"""A project whose pages use the browser client."""

SECRET_KEY = "not a secret: tests only"
DEBUG = True
ROOT_URLCONF = "tests.integration.browser.bridge.urls"
INSTALLED_APPS = ["django.contrib.staticfiles", "routechan_django"]
STATIC_URL = "/static/"
ROUTECHAN = {"EVENT_STREAMS": True}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "routechan.layers.InMemoryChannelLayer",
        "ROUTING": "tests.integration.browser.bridge.feeds.channel_routing",
        "CONFIG": {
            "history": {
                "feed-long-*": {"size": 1000, "seconds": 600},
                "feed-short-*": {"size": 3, "seconds": 600},
            },
        },
    },
}
