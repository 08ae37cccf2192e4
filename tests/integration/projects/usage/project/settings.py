import os

SECRET_KEY = "not a secret: tests only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "project.urls"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "channels.delay",
    "idioms",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "/static/"
TEST_RUNNER = "project.runner.Runner"

REDIS_PORT = int(os.environ.get("REDIS_PORT", "6379"))

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "asgiref.inmemory.ChannelLayer",
        "ROUTING": "project.routing.channel_routing",
        "TEST_CONFIG": {"expiry": 100500},
    },
    "redis": {
        "BACKEND": "project.layer.MarkingLayer",
        "CONFIG": {
            "hosts": [("127.0.0.1", REDIS_PORT)],
            "prefix": os.environ.get("REDIS_PREFIX", "usage:"),
            "capacity": 3,
            "expiry": 30,
            "channel_capacity": {"websocket.send*": 1000, "roomy.*": 20},
            "symmetric_encryption_keys": [SECRET_KEY],
        },
        "ROUTING": "project.routing.dict_routing",
    },
}
CHANNEL_LAYERS["redis"]["TEST_CONFIG"] = dict(
    CHANNEL_LAYERS["redis"]["CONFIG"], prefix=os.environ.get("REDIS_PREFIX", "usage:") + "tests:"
)
CHANNELS_WS_PROTOCOLS = ["usage"]
ROUTECHAN = {"SESSION_KEY_IN_QUERY": True}
