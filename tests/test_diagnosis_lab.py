"""Real software made to fail with a known cause: never below what was reached.

Figures, not scenarios: a rule may trade one for another, and what is held back elsewhere judges it.
"""

from __future__ import annotations

import pytest

from bench.diagnosis.lab import score


@pytest.mark.parametrize(
    ("name", "judged", "right", "given_right"),
    [("training", 136, 0.96, 0.985), ("serving", 94, 0.98, 0.985)],
)
def test_the_lab_stays_where_it_is(
    name: str, judged: int, right: float, given_right: float
) -> None:
    found = score(name)
    assert found.judged == judged
    assert found.right / found.judged >= right, found.wrong
    assert found.given_right / found.given >= given_right, found.wrong
    assert found.money == []
    assert found.stopped == []
    assert found.futile_unseen == []
