"""The words of alerts: changes, spans, certainty, money, and text from outside on one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from remediator.alerts import compose, wording
from remediator.alerts.message import AlertKind
from remediator.domain import LOG_RULE, Cause, Change, Guard, GuardRefusal, Lack, WatchVerdict
from remediator.domain.cause_advice import ADVICE
from remediator.domain.cause_words import MEANINGS
from remediator.report.page import _FAMILY_OF
from tests.alert_situations import FACTS, NOTHING, SITUATIONS


def test_every_cause_and_every_guard_has_words() -> None:
    assert set(MEANINGS) == set(ADVICE) == set(wording.CAUSES) == set(Cause)
    assert set(_FAMILY_OF) == set(Cause)
    assert set(wording.GUARDS) == set(Guard)


@pytest.mark.parametrize(
    ("refusals", "usd", "next_step"),
    [
        (
            {Guard.MACHINE_TYPES: None, Guard.ACCELERATORS: None},
            29.31,
            "Allow the machine type and the accelerator in the policy file if about $29.31 is worth it",
        ),
        ({Guard.LOCATIONS: None}, None, "Allow the region in the policy file if it is worth it"),
        (
            {Guard.ROWS: Lack.RESUME_BUCKET},
            None,
            "Set REMEDIATOR_RESUME_BUCKET, so that only the rows that are left run again",
        ),
        (
            {Guard.ROWS: Lack.RESUME_DATASET},
            None,
            "Set REMEDIATOR_RESUME_DATASET, so that only",
        ),
        ({Guard.ROWS: None}, None, "Allow a step that runs the whole job again"),
        ({Guard.INCOMPATIBLE: Lack.LARGER_MACHINE}, None, "Make the job need less on one"),
        ({Guard.INCOMPATIBLE: None}, None, "Change the step in the policy file"),
    ],
)
def test_the_next_step_after_a_refusal_is_one_that_a_person_can_take(
    refusals: dict[Guard, Lack | None], usd: float | None, next_step: str
) -> None:
    """By facts: what the refusal says in words decides nothing."""
    why = "the job names no machine of its own (REMEDIATOR_RESUME_BUCKET)"
    refused = tuple(GuardRefusal(guard, why, lack) for guard, lack in refusals.items())
    done = replace(NOTHING, refused_by=tuple(refusals), refusals=refused, estimated_usd=usd)
    message = compose(replace(FACTS, kind=AlertKind.ALERT, plan=done, created=""))
    assert message.next_step.startswith(next_step)


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_shown_text_fits_and_is_one_clean_line(text: str, limit: int) -> None:
    told = wording.shown(text, limit)
    assert len(told) <= limit
    assert told == " ".join(told.split())
    assert told.isprintable()


def test_a_secret_split_by_an_invisible_mark_is_still_redacted() -> None:
    assert "hunter2" not in wording.shown("pass\u200bword=hunter2hunter2", 200)


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ((), ""),
        ((Change("a.machineType", "x", "n1-standard-16"),), "on n1-standard-16"),
        (
            (
                Change("m.machineType", "x", "n1-standard-8"),
                Change("m.acceleratorType", None, "NVIDIA_TESLA_T4"),
                Change("m.acceleratorCount", None, 2),
            ),
            "on n1-standard-8 with 2 NVIDIA_TESLA_T4",
        ),
        ((Change("m.batchSize", 64, 32),), "with batch size 32"),
        ((Change("m.acceleratorType", "NVIDIA_L4", None),), "without accelerator"),
        (
            (Change("d.startingReplicaCount", 1, 2), Change("d.maxReplicaCount", 1, 2)),
            "with 2 replicas",
        ),
        ((Change("generateExplanation", True, False),), "with explanations off"),
        ((Change("spec.other", 1, "{0}"),), "with other (0)"),
        ((Change("pool.machine_type", "x", "n1-standard-16"),), "on n1-standard-16"),
        ((Change("parameterValues.train_batch", 64, 32),), "with train_batch 32"),
    ],
)
def test_changes_are_said_in_a_phrase(changes: tuple[Change, ...], phrase: str) -> None:
    assert wording.described(changes) == phrase


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((Change("batchSize", None, 32),), "batch size 64 (the default) -> 32"),
        (
            (
                Change("m.acceleratorType", None, "NVIDIA_TESLA_T4"),
                Change("m.acceleratorCount", None, 1),
            ),
            "accelerator none -> 1 NVIDIA_TESLA_T4",
        ),
        (
            (
                Change("m.acceleratorType", "NVIDIA_TESLA_T4", "NVIDIA_L4"),
                Change("m.acceleratorCount", 2, 1),
            ),
            "accelerator 2 NVIDIA_TESLA_T4 -> 1 NVIDIA_L4",
        ),
        ((Change("m.acceleratorCount", 1, 2),), "accelerators 1 -> 2"),
        (
            (Change("m.acceleratorType", "NVIDIA_L4", None), Change("m.acceleratorCount", 1, None)),
            "accelerator 1 NVIDIA_L4 -> none",
        ),
        (
            (Change("pools[0].machineType", "a", "b"), Change("pools[1].machineType", "a", "b")),
            "machine type a -> b",
        ),
        ((Change("generateExplanation", True, False),), "explanations on -> off"),
        ((Change("timeout", None, "7200s"),), "time-out not set -> 2 h 00 min"),
        (
            (Change("s.maxWaitDuration", "90s", "14400s"),),
            "longest wait for machines 1 min 30 s -> 4 h 00 min",
        ),
        (
            (
                Change("d.flexStart", {"maxRuntimeDuration": "3600s"}, None),
                Change("d.spot", None, True),
            ),
            "flex-start on -> off; spot off -> on",
        ),
        ((Change("base.output_uri_prefix", "gs://a", "gs://b"),), "output gs://a -> gs://b"),
    ],
)
def test_changes_are_spelled_out_as_people_say_them(
    changes: tuple[Change, ...], words: str
) -> None:
    assert wording.spelled(changes) == words


@pytest.mark.parametrize(
    ("confidence", "words"), [(0.5, "50%"), (0.994, "99%"), (0.996, "over 99%"), (1, "over 99%")]
)
def test_nothing_is_wholly_sure(confidence: float, words: str) -> None:
    assert wording.certainty(confidence) == words


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (None, "an unknown amount"),
        (0.0, "$0.00"),
        (0.004, "less than $0.01"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_is_said_in_dollars(usd: float | None, words: str) -> None:
    assert wording.amount(usd) == words


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (WatchVerdict.STALLED, "has stood still since 2026-"),
        (WatchVerdict.SPINNING, "has stood still (its workers wait for each other) since 2026-"),
        (WatchVerdict.ACCELERATOR_UNUSED, "has not used its accelerator since 2026-"),
        (WatchVerdict.WAITING_FOR_CAPACITY, "has waited for machines since 2026-"),
        (WatchVerdict.WAITING_FOR_QUOTA, "has waited for quota since 2026-"),
        (WatchVerdict.WILL_TIME_OUT, "will run into its time-out, $"),
        (WatchVerdict.MEMORY_CLIMBING, "will run out of memory, $"),
        (LOG_RULE, "has written no line of progress since 2026-"),
    ],
)
def test_what_a_running_job_does_is_said_since_when_where_it_lasts(reason: str, said: str) -> None:
    facts = SITUATIONS["running"]
    assert facts.trouble is not None
    told = compose(replace(facts, trouble=replace(facts.trouble, reason=reason))).title
    assert told.startswith(f"Running: genomic-prep {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("e2-highmem-8 is the cheapest that fits", "e2-highmem-8 is the cheapest that fits"),
        ("gs://bucket is elsewhere", "gs://bucket is elsewhere"),
        ("--steps is too large", "--steps is too large"),
        ("train.py is too slow", "train.py is too slow"),
        ("batch_size: half of it", "batch_size: half of it"),
        ("it's cheaper: half of it", "It's cheaper: half of it"),
        ("project red, owner ann", "Project red, owner ann"),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_it_begins_with_a_name(
    text: str, said: str
) -> None:
    assert wording.sentence_start(text) == said


def test_the_sentence_under_every_error_goes_with_its_full_stop() -> None:
    error = "The replica workerpool0-0 exited with a non-zero status of 1."
    under = "To find out more about why your job exited please check the logs."
    assert wording.plain_error(f"{error} {under}") == error
