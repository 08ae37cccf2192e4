"""What members were given, held against what the history of their group has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .members import GAP


def judge(expected: Sequence[int], heard: Sequence[int]) -> Counter[str]:
    """What became of the ``expected`` numbers of a history, as ``heard`` says.

    ``given``, ``gap`` (missed, and told so), ``silent`` (missed, and not told), ``twice`` (again, or out of order), and
    ``gone``: given, and in no history, because Redis lost it with the server that had it. The gap has to be told before
    what came after it.

    Args:
        expected: numbers, growing.
        heard: numbers and ``GAP``.
    """
    found: Counter[str] = Counter()
    place = {number: index for index, number in enumerate(expected)}
    upto, latest, told = 0, 0, False
    for number in heard:
        if number == GAP:
            told = True
            continue
        if number <= latest:
            found["twice"] += 1
            continue
        latest = number
        index = place.get(number)
        if index is None:
            found["gone"] += 1
            continue
        found["given"] += 1
        found["gap" if told else "silent"] += index - upto
        upto, told = index + 1, False
    found["gap" if told else "silent"] += len(expected) - upto
    return found
