"""Gives the tests of a fixer the cases of its module."""

from __future__ import annotations

import pytest

from .cases import Case


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument in ("change", "keep", "tell"):
        if argument in metafunc.fixturenames:
            found = getattr(metafunc.module, f"{argument.upper()}S")
            cases = [
                case if isinstance(case, Case) else Case(*([case] if isinstance(case, str) else case)) for case in found
            ]
            metafunc.parametrize(argument, cases, ids=[case.before.strip().splitlines()[0][:60] for case in cases])
