"""Layer packages of 1.x that are too old to be installed beside this one (AP-03)."""

from __future__ import annotations

import importlib.metadata

#: Package -> the oldest version that Channels 1.x worked with.
required_versions = {
    "asgi_rabbitmq": "0.4.0",
    "asgi_redis": "1.2.0",
    "asgi_ipc": "1.3.0",
}


def check_all() -> None:
    """Compare the installed packages with ``required_versions``.

    Raises:
        RuntimeError: One of them is older than required.
    """
    for package, required in required_versions.items():
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        if _numbers(installed) < _numbers(required):
            raise RuntimeError(
                f"{package} {installed} is installed, which is older than {required}; remove it, routechan.layers has "
                f"the layers, or update it: pip install '{package}>={required}'"
            )


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("."):
        digits = "".join(character for character in part if character.isdigit())
        if not part[:1].isdigit():
            break
        numbers.append(int(digits))
    return tuple(numbers)
