"""The setting ``ROUTECHAN``, and what a command line sets in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from routechan.asgi import ServerOptions
from routechan.consumers.threads import SOCKET_STREAMS as DEFAULT_SOCKET_STREAMS
from routechan.consumers.threads import STREAM_THREADS as DEFAULT_STREAM_THREADS
from routechan.limits.rules import Rate

from .layers import ROUTING
from .logins import LOGIN_KEYS
from .sending import SEND_ON_COMMIT
from .spelling import ROUTECHAN, did_you_mean, names_in

NONE = type(None)

#: The types of a rate, whose text ``ServerOptions`` checks.
RATE = (Rate, NONE)

#: Key of ``ROUTECHAN`` -> (the field of ``ServerOptions`` it sets, its types).
SERVER_KEYS: dict[str, tuple[str, tuple[type, ...]]] = {
    "ALLOWED_ORIGINS": ("allowed_origins", (list, tuple)),
    "SUBPROTOCOLS": ("subprotocols", (list, tuple)),
    "HANDSHAKE_TIMEOUT": ("handshake_timeout", (int, float)),
    "SOCKET_CAPACITY": ("socket_capacity", (int,)),
    "SOCKET_BYTES": ("socket_bytes", (int, NONE)),
    "SERVER_BYTES": ("server_bytes", (int, NONE)),
    "FRAME_BYTES": ("frame_bytes", (int, NONE)),
    "FRAME_RATE": ("frame_rate", RATE),
    "SERVER_SOCKETS": ("server_sockets", (int, NONE)),
    "ADDRESS_SOCKETS": ("address_sockets", (int, NONE)),
    "HANDSHAKE_RATE": ("handshake_rate", RATE),
    "SOCKET_FAILURES": ("socket_failures", (int, NONE)),
    "HTTP_TIMEOUT": ("http_timeout", (int, float)),
    "BODY_LIMIT": ("body_limit", (int,)),
    "EVENT_STREAMS": ("event_streams", (bool,)),
    "HEALTH_PATH": ("health_path", (str, NONE)),
    "METRICS_PATH": ("metrics_path", (str, NONE)),
}

THREADS, STREAM_THREADS, SOCKET_STREAMS = "THREADS", "STREAM_THREADS", "SOCKET_STREAMS"
USER_SOCKETS, CONSUMER_TIMEOUT = "USER_SOCKETS", "CONSUMER_TIMEOUT"

#: The keys of ``ROUTECHAN`` beside those.
OTHER_KEYS = (
    THREADS,
    STREAM_THREADS,
    SOCKET_STREAMS,
    USER_SOCKETS,
    CONSUMER_TIMEOUT,
    SEND_ON_COMMIT,
    *LOGIN_KEYS,
    ROUTING,
)

names_in[ROUTECHAN] = lambda: (*SERVER_KEYS, *OTHER_KEYS)

#: What an error says behind a value's type; "above 0" for numbers.
_RANGES: dict[type, str] = {list: " of str", str: " that begins with '/'", bool: "", Rate: " such as '100/s'"}
_FIELDS = tuple(field for field, _ in SERVER_KEYS.values())

#: The options given to ``override_from_command_line``. Lifetime: process.
_command_line: dict[str, Any] = {}


def _secrets() -> tuple[Any, ...]:
    """What all processes of the site share; nothing where the settings have no ``SECRET_KEY``, as Django allows."""
    try:
        return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    except ImproperlyConfigured:
        return ()


def server_options() -> ServerOptions:
    """The options of a server: the command line, else ``ROUTECHAN``, else Django's own settings.

    Raises:
        ImproperlyConfigured: ``ROUTECHAN`` has an unknown key, or a value of another type.
    """
    setting = _routechan()
    options: dict[str, Any] = {
        "allowed_origins": allowed_hosts(),
        "subprotocols": getattr(settings, "CHANNELS_WS_PROTOCOLS", None) or (),
        "root_path": settings.FORCE_SCRIPT_NAME or "",
        "secrets": _secrets(),
        "debug": settings.DEBUG,
    }
    for key, (field, kinds) in SERVER_KEYS.items():
        if key in setting:
            value = setting[key]
            if not _is_valid(value, kinds):
                expected = " or ".join(kind.__name__ for kind in kinds if kind is not NONE)
                expected += _RANGES.get(kinds[0], " above 0") + (", or None" if NONE in kinds else "")
                raise ImproperlyConfigured(f"ROUTECHAN[{key!r}] is {value!r:.100}; expected {expected}")
            options[field] = value
    options.update({name: _command_line[name] for name in _FIELDS if name in _command_line})
    try:
        return ServerOptions(**options)
    except ValueError as error:
        raise ImproperlyConfigured(f"ROUTECHAN: {error}") from error


def thread_limit() -> int:
    """The number of plain consumers that run side by side: ``ROUTECHAN["THREADS"]``, by default 32.

    Raises:
        ImproperlyConfigured: It is not an int of at least 1.
    """
    threads = _number(THREADS, 32)
    return int(_command_line.get("threads", threads))


def stream_thread_limit() -> int:
    """The number of plain generators that stream side by side: ``ROUTECHAN["STREAM_THREADS"]``, by default 128.

    Raises:
        ImproperlyConfigured: It is not an int of at least 1.
    """
    return _number(STREAM_THREADS, DEFAULT_STREAM_THREADS)


def socket_stream_limit() -> int:
    """The number of generators that stream to one socket: ``ROUTECHAN["SOCKET_STREAMS"]``, by default 10.

    Raises:
        ImproperlyConfigured: It is not an int of at least 1.
    """
    return _number(SOCKET_STREAMS, DEFAULT_SOCKET_STREAMS)


def user_socket_limit() -> int | None:
    """The number of sockets that one user may have open: ``ROUTECHAN["USER_SOCKETS"]``, by default None, any number.

    Raises:
        ImproperlyConfigured: It is not an int of at least 1.
    """
    return None if _routechan().get(USER_SOCKETS) is None else _number(USER_SOCKETS, 0)


def consumer_timeout() -> float | None:
    """The seconds that one run of a consumer may take: ``ROUTECHAN["CONSUMER_TIMEOUT"]``, by default None, any time.

    Raises:
        ImproperlyConfigured: It is no number above 0.
    """
    value = _routechan().get(CONSUMER_TIMEOUT)
    if not _is_valid(value, (int, float, NONE)):
        raise ImproperlyConfigured(f"ROUTECHAN[{CONSUMER_TIMEOUT!r}] is {value!r}; expected seconds above 0, or None")
    return None if value is None else float(value)


def reads_channels() -> bool:
    """Whether the server consumes the channels that the routing names, or leaves them to workers (CM-01)."""
    return bool(_command_line.get("read_channels", True))


def override_from_command_line(**options: Any) -> None:
    """Put a command's options before the settings, for every server that is built from now on.

    Args:
        **options: Fields of ``ServerOptions``, ``threads`` and ``read_channels``; None leaves an option as it is.
    """
    _command_line.update({name: value for name, value in options.items() if value is not None})


def allowed_hosts() -> list[str]:
    """The hosts whose pages may open sockets: ``ALLOWED_HOSTS``, or those of this machine in development (SC-07)."""
    if settings.DEBUG and not settings.ALLOWED_HOSTS:
        return [".localhost", "127.0.0.1", "[::1]"]  # as Django itself does
    return list(settings.ALLOWED_HOSTS)


def _is_valid(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether ``value`` is of one of ``kinds``: a path for str, str items for lists, above 0 for numbers (no bool)."""
    if kinds == RATE:
        return value is None or isinstance(value, str)
    if not isinstance(value, kinds):
        return False
    if value is None or bool in kinds:
        return True
    if isinstance(value, str):
        return value.startswith("/")
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _number(key: str, default: int) -> int:
    value = _routechan().get(key, default)
    if not _is_valid(value, (int,)):
        raise ImproperlyConfigured(f"ROUTECHAN[{key!r}] is {value!r}; expected an int of at least 1")
    return int(value)


def _routechan() -> Mapping[str, Any]:
    setting = getattr(settings, "ROUTECHAN", None) or {}
    if not isinstance(setting, Mapping):
        raise ImproperlyConfigured(f"ROUTECHAN is a dict of settings, not {setting!r:.100}")
    known = [*SERVER_KEYS, *OTHER_KEYS]
    for key in setting:
        if key not in known:
            raise ImproperlyConfigured(
                f"ROUTECHAN has the unknown key {key!r}{did_you_mean(key, known, ROUTECHAN)}; "
                f"expected {', '.join(known)}"
            )
    return setting
