"""Real software made to fail with a known cause: never below what was reached.

Figures, not scenarios: a rule may trade one for another, and what is held back elsewhere judges it.
"""

from __future__ import annotations

import pytest

from bench.diagnosis.lab import half, scenarios, score


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


def test_other_software_stays_where_it_is() -> None:
    """191 scenarios of a blind author: figures, as above."""
    found = score("blind")
    assert found.judged == 191
    assert found.right >= 175, found.wrong
    assert found.given_right / found.given >= 0.95, found.wrong
    assert found.money == []
    assert len(found.stopped) <= 3, found.stopped
    assert found.futile_unseen == []


def test_the_halves_are_a_whole() -> None:
    """Both halves are of a size that can carry a figure, and no software stands in both."""
    halves = {
        name: {s.software for s in scenarios("blind") if half(s.software) == name} for name in "AB"
    }
    assert not halves["A"] & halves["B"]
    assert min(score("blind", of_half=name).judged for name in "AB") >= 80
