"""``python -m routechan send`` and ``listen``: what they refuse."""

from __future__ import annotations

import pytest

from routechan import cli
from tests.processes import free_port


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["send", "bad name", "{}"], "Nothing was sent: a channel name holds"),
        (["send", "websocket.send.abcdef.gone!abc", '{"text": "x"}'], "Nothing was sent: "),
        (["listen", "bad name"], "a group name holds"),
        (["listen", "chat"], "Redis"),
    ],
)
def test_refusals(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are said on stderr, and the exit code is 1."""
    assert cli.main([*arguments, "--redis", f"redis://127.0.0.1:{free_port()}"]) == 1
    assert expected in capsys.readouterr().err


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong on the command line is an error of the arguments, with code 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["send", "work", "text"])
    assert ended.value.code == 2
    assert "'text' is no JSON" in capsys.readouterr().err
