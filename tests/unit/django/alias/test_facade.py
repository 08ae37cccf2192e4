"""``Facade``: a module before another one."""

from __future__ import annotations

from types import ModuleType

import pytest

from routechan_django.alias.facade import Facade


@pytest.fixture
def behind() -> ModuleType:
    module = ModuleType("behind", "What it is.")
    module.__dict__.update(shared=1, _private=2)
    return module


def test_reads_sets_and_deletes_behind(behind: ModuleType) -> None:
    """An attribute of the module behind is read, set and deleted there, so that its own code sees it."""
    facade = Facade("front", behind, {})
    assert facade.shared == 1
    facade.shared = 3
    assert behind.__dict__["shared"] == 3
    del facade.shared
    assert "shared" not in behind.__dict__
    facade.shared = 4
    assert behind.__dict__["shared"] == 4
    with pytest.raises(AttributeError, match="module 'front' has no attribute 'nothing'"):
        print(facade.nothing)


def test_names_of_its_own(behind: ModuleType) -> None:
    """Further names, and what the import system sets, stay with the facade."""
    facade = Facade("front", behind, {"extra": 5})
    facade.extra = 6
    facade.__loader__ = None
    assert (facade.extra, facade.__name__, facade.__doc__) == (6, "front", "What it is.")
    assert "extra" not in behind.__dict__
    del facade.extra
    assert not hasattr(facade, "extra")
    facade.extra = 7  # a patch puts it back
    assert facade.extra == 7
    assert not hasattr(behind, "extra")


def test_public_names(behind: ModuleType) -> None:
    """``from front import *`` gives the public names of both; ``dir`` all names."""
    facade = Facade("front", behind, {"extra": 5})
    assert facade.__all__ == ["extra", "shared"]
    assert {"extra", "shared", "_private"} <= {*dir(facade)}
