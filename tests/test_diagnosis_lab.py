"""Real software made to fail with a known cause: never below what was reached.

Figures, not scenarios: a rule may trade one for another, and what is held back elsewhere judges it.
"""

from __future__ import annotations

import pytest

from bench.diagnosis.lab import half, scenarios, score, score_time_outs


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


@pytest.mark.parametrize(
    ("name", "judged", "right", "given_right", "money", "stopped", "futile_unseen"),
    [
        ("blind", 191, 184, 0.975, 0, 2, 0),
        ("second_blind", 115, 114, 0.99, 0, 0, 1),
        ("third_blind", 212, 204, 0.97, 0, 2, 0),
        ("fourth_blind", 320, 313, 0.985, 0, 2, 0),
        ("fifth_blind", 433, 412, 0.96, 1, 6, 0),
        ("seventh_blind", 430, 374, 0.91, 2, 16, 0),
        ("eighth_blind", 302, 272, 0.92, 2, 8, 0),
        ("ninth_blind", 202, 182, 0.915, 1, 4, 0),
        ("complaints", 256, 234, 0.91, 0, 0, 0),
        ("statements", 230, 223, 0.97, 0, 0, 0),
    ],
)
def test_other_software_stays_where_it_is(
    name: str,
    judged: int,
    right: int,
    given_right: float,
    money: int,
    stopped: int,
    futile_unseen: int,
) -> None:
    """Scenarios of blind authors: figures, as above."""
    found = score(name)
    assert found.judged == judged
    assert found.right >= right, found.wrong
    assert found.given_right / found.given >= given_right, found.wrong
    assert len(found.money) <= money, found.money
    assert len(found.stopped) <= stopped, found.stopped
    assert len(found.futile_unseen) <= futile_unseen, found.futile_unseen


_UNSEEN_GPUS = [
    "0f74d1-jax-cpu",
    "22a019-spacy-cpu",
    "297256-ort-provider",
    "944e0a-tf-dlopen",
    "a578b9-own-cuda-false",
]


@pytest.mark.parametrize(
    ("name", "judged", "right", "given_right", "money", "stopped"),
    [
        # Stopped: a GPU that is attached and not seen or asked for. The authors want one added, we the job's own used.
        ("time_outs_blind", 150, 143, 0.96, 1, ["d0a0bf-spacy-train-0"]),
        ("second_time_outs_blind", 140, 128, 0.94, 0, ["078-gpu-unseen", "079-jax-fallback"]),
        ("fourth_time_outs_blind", 140, 117, 0.93, 0, _UNSEEN_GPUS),
    ],
)
def test_time_outs_stay_where_they_are(
    name: str, judged: int, right: int, given_right: float, money: int, stopped: list[str]
) -> None:
    """Cases of blind authors: three families of cause, and those that nobody can tell."""
    found = score_time_outs(name)
    assert found.judged == judged
    assert found.right >= right, found.wrong
    assert found.given_right / found.given >= given_right, found.wrong
    assert len(found.money) <= money, found.money
    assert set(found.stopped) <= set(stopped)


def test_the_fifth_time_outs_stay_where_they_are() -> None:
    """Totals alone: half of them is held back."""
    found = score_time_outs("fifth_time_outs_blind")
    totals = (found.judged, found.right, found.given_right, len(found.money), len(found.stopped))
    least = (120, 100, 90, 1, 1)
    assert totals[0] == least[0]
    assert all(now >= then for now, then in zip(totals[1:3], least[1:3], strict=True))
    assert all(now <= then for now, then in zip(totals[3:], least[3:], strict=True))


def test_the_halves_are_a_whole() -> None:
    """Both halves are of a size that can carry a figure, and no software stands in both."""
    halves = {
        name: {s.software for s in scenarios("blind") if half(s.software) == name} for name in "AB"
    }
    assert not halves["A"] & halves["B"]
    assert min(score("blind", of_half=name).judged for name in "AB") >= 80
