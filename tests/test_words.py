"""The word model: it fills silence on single messages, says so, and starts no resubmission."""

from __future__ import annotations

import pytest

from bench.diagnosis.corpus import case_of, messages
from bench.diagnosis.train import Labelled, digest, trained, training_data, written
from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.diagnosis.words import MODEL, features_of, guess
from remediator.domain import NEVER_RETRIED, Cause, Diagnosis

UNHEARD = "The column mapping names a header that this table lacks; check the delimiter of row 3"


def told(text: str, where: str = "job.error") -> Diagnosis:
    return diagnose(Case.parse(case_of({"job_kind": "custom", "where": where, "text": text})))


def by_words(found: Diagnosis) -> bool:
    return any("by its words alone" in e.says for one in found.causes for e in one.evidence)


def test_the_model_is_made_of_the_data_that_is_here():
    header = MODEL.read_text(encoding="utf-8").partition("\n")[0]
    assert header == f"# data\t{digest(training_data())}", "run bench/diagnosis/train.py"


def test_training_gives_the_same_each_time():
    data = [
        Labelled(row["text"], row["cause"])
        for row in messages("messages")
        if row["cause"] != "quota"
    ]
    assert written(trained(data), data) == written(trained(data), data)


@pytest.mark.parametrize("name", ["messages", "held_out", "fresh", "written", "recalled"])
def test_no_message_is_called_retriable_by_words_alone(name):
    for row in messages(name):
        found = guess(row["text"])
        assert found is None or found.cause in NEVER_RETRIED


def test_a_verdict_by_words_alone_says_so_and_is_never_retried():
    found = [
        d
        for name in ("messages", "held_out", "fresh", "written")
        for row in messages(name)
        if by_words(d := told(row["text"]))
    ]
    assert found
    for one in found:
        assert one.verdict in NEVER_RETRIED
        assert not one.settled_by_error
        assert one.confidence < 0.7


def test_a_known_message_is_left_to_its_signature():
    assert not by_words(told("CUDA out of memory. Tried to allocate 2.00 GiB"))


def test_a_log_is_not_asked():
    assert not by_words(told(UNHEARD, where="log.textPayload"))


@pytest.mark.parametrize(
    "text", ["", "zq zq zq", "7", "\ud800\x00", "e" * 100_000, "disk " * 90_000]
)
def test_odd_texts_are_read(text):
    guess(text)
    assert len(features_of(text)) <= 800


def test_what_says_nothing_stays_unknown():
    assert told("Job failed.").verdict is Cause.UNKNOWN
