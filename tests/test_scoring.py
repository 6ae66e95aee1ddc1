"""How evidence adds up to confidences: scale, conflict, corroboration, symptoms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from remediator.diagnosis.scoring import THRESHOLD, rank
from remediator.diagnosis.weighted_evidence import weighted_evidence
from remediator.diagnosis.weights import SCALE, weight_of
from remediator.domain import Cause, Source

HINT, FAIR, STRONG, DECISIVE, CERTAIN = map(weight_of, SCALE)


def s(cause: Cause, weight: float, group: str = "", *, symptom: bool = False):
    return weighted_evidence(
        cause, weight, Source.LOG, "w", f"{cause} {weight} {group}", group=group, symptom=symptom
    )


@pytest.mark.parametrize(
    ("weight", "confidence"),
    [(HINT, 0.11), (FAIR, 0.54), (STRONG, 0.74), (DECISIVE, 0.88), (CERTAIN, 0.94)],
)
def test_one_sign_carries_what_its_strength_says(weight, confidence):
    assert rank([s(Cause.QUOTA, weight)])[0].confidence == pytest.approx(confidence, abs=0.01)


def test_conflict_lowers_confidence_below_the_threshold():
    ranked = rank([s(Cause.QUOTA, STRONG), s(Cause.PERMISSION, STRONG)])
    assert ranked[0].confidence < THRESHOLD
    assert {ranked[0].cause, ranked[1].cause} == {Cause.QUOTA, Cause.PERMISSION}


def test_one_observation_told_twice_counts_once():
    once = rank([s(Cause.QUOTA, FAIR, "a")])[0].confidence
    assert rank([s(Cause.QUOTA, FAIR, "a"), s(Cause.QUOTA, FAIR, "a")])[0].confidence == once
    assert rank([s(Cause.QUOTA, FAIR, "a"), s(Cause.QUOTA, FAIR, "b")])[0].confidence > once


TEXT = "Lost executor 7: Container killed for exceeding memory limits. Then the disk was full: No space left."


@pytest.mark.parametrize(
    ("second", "where", "shown"),
    [
        (
            "… Container killed for exceeding memory limits. …",
            "w",
            1,
        ),  # most of it was quoted before
        ("Lost executor 7: Container killed for exceeding …", "w", 1),
        ("… Then the disk was full: No space left.", "w", 2),  # another part of the line
        ("… Container killed for exceeding memory limits. …", "line 9", 2),  # another line
        ("a summary that stands nowhere in the text", "w", 2),
    ],
)
def test_one_part_of_a_line_is_shown_once(second: str, where: str, shown: int) -> None:
    """Several rows of the table may know one line, each by other words."""

    def quoted(part: str, group: str, place: str = "w"):
        made = weighted_evidence(
            Cause.QUOTA, FAIR, Source.LOG, place, f'the log: "{part}"', group=group
        )
        return replace(made, text=TEXT)

    first = "Lost executor 7: Container killed for exceeding memory limits. …"
    (found,) = rank([quoted(first, "a"), quoted(second, "b", where)])
    assert len(found.evidence) == shown


def test_a_symptom_yields_to_what_goes_deeper():
    ranked = rank([s(Cause.REQUEST_TOO_LARGE, DECISIVE, symptom=True), s(Cause.SLOW_CODE, STRONG)])
    assert ranked[0].cause is Cause.SLOW_CODE


@given(
    st.lists(
        st.tuples(
            st.sampled_from([c for c in Cause if c is not Cause.UNKNOWN]),
            st.floats(-8, 8),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_confidences_are_probabilities_whatever_the_signs(raw):
    ranked = rank(
        [
            s(cause, weight, str(i), symptom=symptom)
            for i, (cause, weight, symptom) in enumerate(raw)
        ]
    )
    assert sum(found.confidence for found in ranked) <= 1 + 1e-9
    assert [f.confidence for f in ranked] == sorted((f.confidence for f in ranked), reverse=True)


@given(st.floats(FAIR, CERTAIN), st.floats(0.1, 3))
def test_more_evidence_never_lowers_its_own_cause(first, more):
    before = rank([s(Cause.QUOTA, first, "a"), s(Cause.PERMISSION, STRONG)])
    after = rank(
        [s(Cause.QUOTA, first, "a"), s(Cause.QUOTA, more, "b"), s(Cause.PERMISSION, STRONG)]
    )
    held = {f.cause: f.confidence for f in before}
    assert {f.cause: f.confidence for f in after}[Cause.QUOTA] >= held.get(Cause.QUOTA, 0)
