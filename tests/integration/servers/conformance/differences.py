"""What each server does otherwise than the suite expects, and what it tells a disconnect consumer.

The one list of it. The suite fails where a server of these versions does anything else; the tables in
``docs/server.rst`` say the same. With other versions of its packages a server is compared with itself, serving
``bare.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from .cases import LOST, NOT_UTF8, RESERVED_BIT
from .client import Case, Verdict, close_frame


class Kind(NamedTuple):
    """A server of the suite.

    Attributes:
        command: Its key in ``starting.COMMANDS``.
        arguments: What follows on the command line.
        versions: The packages that speak the protocol, in the versions that the list was made with.
    """

    command: str
    arguments: tuple[str, ...]
    versions: dict[str, str]

    @property
    def listed(self) -> bool:
        """Whether the packages that are installed are those of the list."""
        try:
            return all(version(package) == listed for package, listed in self.versions.items())
        except PackageNotFoundError:
            return False


KINDS = {
    "routechan.server": Kind("routechan", (), {"picows": "2.3.1"}),
    "uvicorn": Kind("uvicorn", (), {"uvicorn": "0.54.0", "websockets": "17.4"}),
    "uvicorn --ws websockets": Kind("uvicorn", ("--ws", "websockets"), {"uvicorn": "0.54.0", "websockets": "17.4"}),
    "uvicorn --ws wsproto": Kind("uvicorn", ("--ws", "wsproto"), {"uvicorn": "0.54.0", "wsproto": "1.3.2"}),
    "gunicorn": Kind("gunicorn", (), {"uvicorn": "0.54.0", "websockets": "17.4"}),
    "granian": Kind("granian", (), {"granian": "2.8.9"}),
    "hypercorn": Kind("hypercorn", (), {"hypercorn": "0.18.0", "wsproto": "1.3.2"}),
    "daphne": Kind("daphne", (), {"daphne": "4.2.3", "autobahn": "26.10.2"}),
}

#: Those that are played in each run of the tests: gunicorn's worker is uvicorn.
SHORT = tuple(kind for kind in KINDS if kind != "gunicorn")


class Difference(NamedTuple):
    """What some servers do otherwise.

    Attributes:
        kinds: The servers.
        verdict: What it is.
        applies: Whether it does in a case.
        numbers: The numbers of the cases, as the docs have them.
        text: What the servers do, as the docs have it.
    """

    kinds: tuple[str, ...]
    verdict: Verdict
    applies: Callable[[Case], bool]
    numbers: str
    text: str


def _numbered(*starts: str) -> Callable[[Case], bool]:
    return lambda case: any(case.id == start or case.id.startswith(f"{start}.") for start in starts)


def _above_a_mebibyte(case: Case) -> bool:
    return any(len(payload) > 1 << 20 for _, payload in case.expected[0])


def _in_many_frames(case: Case) -> bool:
    return _above_a_mebibyte(case) and case.id in ("9.3.1", "9.3.2", "9.4.1", "9.4.2")


DIFFERENCES = (
    Difference(
        ("routechan.server", "uvicorn", "gunicorn"),
        Verdict.NON_STRICT,
        _numbered("6.4"),
        "6.4",
        "reads a text to its end before it refuses what is not UTF-8",
    ),
    Difference(
        ("uvicorn --ws websockets",),
        Verdict.NON_STRICT,
        _numbered("6.4.3", "6.4.4"),
        "6.4.3, 6.4.4",
        "reads a frame to its end before it refuses what is not UTF-8",
    ),
    Difference(
        ("uvicorn --ws websockets",),
        Verdict.FAILED,
        _in_many_frames,
        "9.3, 9.4",
        "closes with 1009 at a message in more than 4,096 fragments",
    ),
    Difference(
        ("uvicorn", "gunicorn"),
        Verdict.FAILED,
        _numbered("7.1.5"),
        "7.1.5",
        "closes with 1002 where a client closes between two fragments of a message",
    ),
    Difference(
        ("uvicorn --ws wsproto", "hypercorn", "daphne"),
        Verdict.NON_STRICT,
        lambda case: case.fails,
        "2 to 7",
        "loses the connection (1006) wherever it should close with 1002 or 1007",
    ),
    Difference(
        ("granian",),
        Verdict.FAILED,
        lambda case: case.fails and not case.id.startswith("7.9."),
        "2 to 7",
        "closes without a code wherever it should close with 1002 or 1007, but for invalid close codes (7.9)",
    ),
    Difference(
        ("routechan.server", "granian", "daphne"),
        Verdict.UNIMPLEMENTED,
        _numbered("12", "13"),
        "12, 13",
        "does not compress",
    ),
    Difference(
        ("daphne",),
        Verdict.FAILED,
        _above_a_mebibyte,
        "9",
        "loses the connection (1006) at a message above 1 MiB; raise ``--websocket-max-message-size`` and "
        "``--websocket-max-frame-size``",
    ),
)


def expected(kind: str, cases: Sequence[Case]) -> dict[str, Verdict]:
    """The verdict of each case on a server of the listed versions."""
    differences = [difference for difference in DIFFERENCES if kind in difference.kinds]
    return {
        case.id: next((difference.verdict for difference in differences if difference.applies(case)), Verdict.OK)
        for case in cases
    }


#: How a client ends its connection, as the docs have it, and what it sends for that; nothing to leave without a word.
ENDINGS = {
    "closes with 4001": close_frame(4001),
    "closes without a code": close_frame(),
    "sends a reserved bit": RESERVED_BIT,
    "sends text that is not UTF-8": NOT_UTF8,
    "is lost": LOST,
}

#: By server: what a disconnect consumer is told at each of these ends.
TOLD: dict[str, tuple[int | None, ...]] = {
    "routechan.server": (4001, None, 1002, 1007, 1006),
    "uvicorn": (4001, None, 1002, 1007, None),
    "uvicorn --ws websockets": (4001, None, 1006, 1006, 1006),
    "uvicorn --ws wsproto": (4001, None, 1002, 1007, None),
    "gunicorn": (4001, None, 1002, 1007, None),
    "granian": (4001, None, None, None, None),
    "hypercorn": (1006, 1006, 1006, 1006, 1006),
    "daphne": (4001, None, 1006, 1006, 1006),
}
