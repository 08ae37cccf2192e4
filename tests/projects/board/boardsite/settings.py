import os

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

SECRET_KEY = "not a secret"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost"]

DJANGO_APPS = (
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
)
THIRD_PARTY_APPS = ("channels", "channels.delay")
INSTALLED_APPS = DJANGO_APPS + THIRD_PARTY_APPS + ("cards.apps.CardsConfig",)

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

ROOT_URLCONF = "boardsite.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(BASE_DIR, "db.sqlite3")}}
USE_TZ = True

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": os.environ.get("CHANNEL_BACKEND", "asgiref.inmemory.ChannelLayer"),
        "ROUTING": "boardsite.routing.channel_routing",
    },
}
if os.environ.get("REDIS_HOST"):
    CHANNEL_LAYERS["default"]["BACKEND"] = "asgi_redis.core.RedisChannelLayer"
    CHANNEL_LAYERS["default"]["CONFIG"] = {"hosts": [(os.environ["REDIS_HOST"], 6379)]}
