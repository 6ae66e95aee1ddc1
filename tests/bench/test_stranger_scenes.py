"""The generated time-outs are a table with one reader: its rows, its formulas, its mistakes."""

from __future__ import annotations

from random import Random

import pytest

from bench.diagnosis import formulas
from bench.diagnosis.stranger_jobs import document
from bench.diagnosis.stranger_scenes import Kind, kinds
from bench.diagnosis.strangers import FIRST_TIME, FIRST_TIME_BY_TIER
from remediator.case import Case
from remediator.domain import Cause

_CAUSES = frozenset(cause.value for cause in Cause)


def test_no_name_stands_twice_in_a_wave() -> None:
    names = [(kind.wave, kind.name) for kind in kinds()]
    assert len(names) == len(set(names)) == 186


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_each_row_draws_a_case_with_a_truth_of_the_vocabulary(kind: Kind) -> None:
    assert {kind.truth, *kind.also} <= _CAUSES
    assert kind.wave in FIRST_TIME
    assert kind.tier in FIRST_TIME_BY_TIER
    case = Case.parse(document(kind.draw(Random("a row"))))
    assert case.job.state.is_terminal
    assert case.job.run_seconds


def test_the_same_number_draws_the_same_scene() -> None:
    kind = kinds()[0]
    assert document(kind.draw(Random(7))) == document(kind.draw(Random(7)))
    assert document(kind.draw(Random(7))) != document(kind.draw(Random(8)))


def _row(**steps: object) -> Kind:
    return Kind("row", 1, "unknown", frozenset(), "logs", 1, steps)


def test_lines_say_what_the_row_says_at_its_moments() -> None:
    """Each form of a line once: fixed, by formula, repeated, in turn."""
    written = [
        [5, "begins"],
        ["seconds / 2", "half of {int(seconds)} s"],
        {"between": [0, 1], "times": 2, "say": "page {i}"},
        {"between": [0, 1], "times": 3, "say in turn": ["a", "b"]},
        {"repeat": 2, "lines": [["i", "round {i + 1}"]]},
    ]
    scene = _row(job="custom", hours=1, lines=written).draw(Random(1))
    assert [text for _, text in scene.lines] == [
        *("begins", "half of 3600 s", "page 0", "page 1", "a", "b", "a", "round 1", "round 2")
    ]
    assert scene.lines[:2] == [(5, "begins"), (1800.0, "half of 3600 s")]


def test_curves_are_drawn_once_by_the_share_of_the_run_or_at_each_sample() -> None:
    load = {
        "cpu": "early(0.1, 0.9, 0.2)",
        "memory": "ramp(0.2, 0.6)",
        "gpu": "uniform(0.1, 0.2)",
        "received": {"each sample": "uniform(0, 1)"},
    }
    held = _row(job="custom", load=load).draw(Random(1)).load
    assert held is not None
    assert held.gpu is not None
    assert (held.cpu(0.05), held.cpu(0.5)) == (0.9, 0.2)
    assert held.memory(0.5) == pytest.approx(0.4)
    assert held.gpu(0.1) == held.gpu(0.9)
    assert held.received(0.1) != held.received(0.1)


def test_telemetry_names_the_first_section_that_holds() -> None:
    section = [["at < 0.5", "load", None], ["always", "{what}", "fit.py:{1 + 1}"]]
    scene = _row(let={"what": {"one of": ["train"]}}, job="custom", section=section).draw(Random(1))
    assert scene.section(0.1) == ("load", None)
    assert scene.section(0.9) == ("train", "fit.py:2")


@pytest.mark.parametrize(
    "steps", [{"job": "custom", "colour": "red"}, {"load": {"cpu": "idle"}, "lines": []}]
)
def test_an_unknown_step_or_a_missing_job_is_told(steps: dict[str, object]) -> None:
    with pytest.raises(formulas.Unreadable):
        _row(**steps).draw(Random(1))


NAMES = {"i": 7, "seconds": 60.0, "double": lambda x: 2 * x}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("i * 9 - 1", 62),
        ("2 ** (i % 4)", 8),
        ("int_of", None),
        ("seconds / 8 if i > 3 else 0", 7.5),
        ("double(i // 2)", 6),
        ("'#' * 3", "###"),
        ("__import__('os')", None),
        ("i.real", None),
        ("[1]", None),
        ("1 +", None),
    ],
)
def test_a_formula_knows_what_its_table_names(formula: str, value: object) -> None:
    if value is None:
        with pytest.raises(formulas.Unreadable):
            formulas.value_of(formula, NAMES)
    else:
        assert formulas.value_of(formula, NAMES) == value


def test_a_text_holds_formulas_in_braces() -> None:
    text = "page {i} of {i * 9:>4} in {seconds / 7:.1f}s, {{kept}}"
    assert formulas.filled(text, NAMES) == "page 7 of   63 in 8.6s, {kept}"
    assert formulas.filled("plain", NAMES) == "plain"
