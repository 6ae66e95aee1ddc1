"""The word model: on single messages it fills silence or outvotes a signature, says so, and starts no resubmission."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
from msgspec.structs import replace

from bench.diagnosis.corpus import case_of, messages
from bench.diagnosis.train import Labelled, digest, trained, training_data, written
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.cli.subject import diagnose_inputs
from remediator.diagnosis import diagnose
from remediator.diagnosis.texts.ending import ending_of
from remediator.diagnosis.words import MODEL, features_of, guess
from remediator.domain import NEVER_RETRIED, Action, Cause, Diagnosis, Guard, History
from remediator.domain.cause_words import MEANINGS
from remediator.inputs import assemble
from remediator.inputs.documents import read_document
from remediator.planning import plan
from tests.jobs import policies

UNHEARD = "The column mapping names a header that this table lacks; check the delimiter of row 3"


def told(text: str, where: str = "job.error") -> Diagnosis:
    return diagnose(Case.parse(case_of({"job_kind": "custom", "where": where, "text": text})))


def by_words(found: Diagnosis) -> bool:
    return any(_BY_WORDS.match(e.says) for one in found.causes for e in one.evidence)


_BY_WORDS = re.compile(
    r"by (?:its words(?: alone)?|the words (?:that it ends with|of what the server complains of)) \("
)


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


@functools.cache
def all_by_words() -> list[tuple[Case, Diagnosis]]:
    """The messages of strangers whose verdict rests on their words alone."""
    names = ("messages", "held_out", "fresh", "written")
    cases = [Case.parse(case_of(row)) for name in names for row in messages(name)]
    judged = [(case, diagnose(case)) for case in cases]
    return [(case, found) for case, found in judged if found.by_words_alone]


def test_a_verdict_by_words_alone_says_so_and_resubmits_nothing():
    text = (
        "mode: enforce\nrerun_safe: [batch_prediction, custom, hyperparameter_tuning, pipeline, "
        "training_pipeline]\npolicies:\n  - name: again\n    alert: [ml]\n    do: [{resubmit: {}}]\n"
    )
    book, file = Catalog.built_in(), policies(text)
    found = all_by_words()
    assert {one.verdict for _, one in found} > NEVER_RETRIED - {Cause.PERMISSION}
    for case, one in found:
        assert by_words(one)
        assert not one.settled_by_error
        assert one.confidence < (0.7 if len(one.causes[0].evidence) == 1 else 0.95)
        made = plan(case, one, file, History(), book)
        assert made.action is Action.ALERT
        assert Guard.CAUSE in made.refused_by


def test_a_retriable_cause_by_words_alone_is_refused_with_that_reason():
    found = next((case, one) for case, one in all_by_words() if one.verdict not in NEVER_RETRIED)
    text = "mode: enforce\nrerun_safe: [batch_prediction, custom]\npolicies:\n  - {name: again, alert: [ml], do: [{resubmit: {}}]}\n"
    made = plan(*found, policies(text), History(), Catalog.built_in())
    assert "rests on words alone" in made.why_refused(Guard.CAUSE)
    surer = plan(
        found[0],
        replace(found[1], by_words_alone=False),
        policies(text),
        History(),
        Catalog.built_in(),
    )
    assert Guard.CAUSE not in surer.refused_by


def test_a_known_message_is_left_to_its_signature():
    assert not by_words(told("CUDA out of memory. Tried to allocate 2.00 GiB"))


@pytest.mark.parametrize("text", [UNHEARD, "Not enough columns in the header row of the table"])
def test_a_log_of_one_entry_is_a_message(text):
    assert by_words(told(text, where="log.textPayload"))


@pytest.mark.parametrize(("where", "asked"), [("first", False), ("last", True)])
def test_of_a_whole_log_the_end_is_asked(where, asked):
    body = case_of({"job_kind": "custom", "where": "log.textPayload", "text": UNHEARD})
    entry = body["logEntries"][0]
    work = [
        {**entry, "insertId": f"w{number}", "textPayload": f"shard {number} of 90 is read"}
        for number in range(9)
    ]
    body["logEntries"] = [entry, *work] if where == "first" else [*work, entry]
    assert by_words(diagnose(Case.parse(body))) is asked


def alone(text: str) -> Diagnosis:
    """A text that somebody pasted: a plain file, and nothing else."""
    return diagnose_inputs(assemble([read_document(f"{text}\n".encode(), "pasted.txt")]))


def test_a_line_that_came_alone_is_a_message():
    found = alone(
        "CatBoostError: catboost/cuda/cuda_lib/memory_pool/stack_like_memory_pool.h:302: Error: Out of memory. Requested 2610 MB; Free 1377 MB"
    )
    assert found.verdict is Cause.GPU_MEMORY
    assert by_words(found)
    assert found.by_words_alone


@pytest.mark.parametrize(
    "healthy",
    [
        "rate limiter enabled",
        "Loading dataset gs://bucket/train/data.csv",
        "Config file loaded from /app/config.yaml",
        "Spot instance detected; checkpoints every 10 minutes",
        "Permission check passed for trainer@p.iam.gserviceaccount.com",
        'Model: "sequential"\n Layer (type)   Output Shape   Param #\n dense (Dense)  (None, 64)     640',
    ],
)
def test_an_entry_that_complains_of_nothing_is_not_asked(healthy):
    assert guess(healthy) is not None
    assert told(healthy, where="log.textPayload").verdict is Cause.UNKNOWN


@pytest.mark.parametrize(
    "names",
    ["UNKNOWN", "DATA_LOSS", "OUT_OF_RANGE", "ALREADY_EXISTS", "Worker lost", "disk", "137"],
)
def test_a_name_or_two_say_nothing(names):
    assert guess(names) is None
    assert told(names).verdict is Cause.UNKNOWN


CALLS_FOR_ANOTHER_ATTEMPT = [
    ("The replica was preempted while reading the header of the CSV table column", None, Cause.PREEMPTION),
    ("database or disk is full: table samples has no column header row", None, Cause.DISK_FULL),
    ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 12 GiB for the column of a table, below the header of the CSV file", None, Cause.MEMORY_PRESSURE),
    ("Insufficient resources: could not scale up node pool to 4 replicas of a2-highgpu-1g", 8, Cause.QUOTA),
    ("Insufficient resources: could not scale up node pool to 4 replicas of a2-highgpu-1g", 14, Cause.TRANSIENT_BACKEND),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "cause"), CALLS_FOR_ANOTHER_ATTEMPT)
def test_words_take_no_attempt_back(text, code, cause):
    """Nor do they make of what is waited for a stockout that waits for a person."""
    body = case_of({"job_kind": "custom", "where": "job.error", "text": text})
    body["job"]["error"]["code"] = code
    held, found = guess(text), diagnose(Case.parse(body))
    assert held is not None
    assert held.cause is not cause
    assert found.verdict is cause
    assert not found.by_words_alone


@pytest.mark.parametrize("code", [7, 16])
def test_a_lack_of_permission_that_the_code_tells_is_not_outvoted(code):
    text = "Cannot read source file gs://b/x.csv of the input: caller lacks storage.objects.get"
    body = case_of({"job_kind": "batch_prediction", "where": "job.error", "text": text})
    body["job"]["error"]["code"] = code
    held = guess(text)
    assert held is not None
    assert held.cause is Cause.BAD_INPUT
    assert diagnose(Case.parse(body)).verdict is Cause.PERMISSION


def test_words_are_shown_as_they_stand_in_the_text():
    held = guess(UNHEARD)
    assert held is not None
    assert held.words
    assert all(word in UNHEARD.lower() for word in held.words)
    assert len(set(held.words)) == len(held.words)


def test_a_word_that_the_model_does_not_know_is_not_shown():
    """It may be a secret, which redaction would know by its sentence alone."""
    held = guess("columnzqjvx=tablezqjvx headerzqjvx delimiterzqjvx parsezqjvx")
    assert held is not None
    assert not any("zqjvx" in word for word in held.words)


def test_an_error_beside_a_log_is_not_asked():
    body = case_of({"job_kind": "custom", "where": "job.error", "text": UNHEARD})
    body["logEntries"] = [{"severity": "INFO", "insertId": "a", "textPayload": "started"}]
    assert not by_words(diagnose(Case.parse(body)))


def test_words_that_contradict_a_signature_say_against_what_and_leave_it_in_sight():
    outvoted = [
        found
        for _, found in all_by_words()
        if any("which speak against" in e.says for e in found.causes[0].evidence)
    ]
    assert len(outvoted) > 20
    in_sight = 0
    for found in outvoted:
        says = next(e.says for e in found.causes[0].evidence if "which speak against" in e.says)
        against = next(cause for cause, words in MEANINGS.items() if says.endswith(f": {words}"))
        assert against is not found.verdict
        in_sight += against in {one.cause for one in found.causes[1:]}
        assert not found.settled_by_error
    assert in_sight >= 0.8 * len(outvoted)


def test_a_signature_that_rests_on_the_job_itself_is_not_outvoted():
    body = case_of({"job_kind": "custom", "where": "job.error", "text": GPU_UNSEEN})
    worker = {
        "machineType": "n1-standard-8",
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 1,
    }
    body["job"]["jobSpec"] = {"workerPoolSpecs": [{"machineSpec": worker, "replicaCount": "1"}]}
    assert diagnose(Case.parse(body)).verdict is Cause.INVALID_CONFIG


GPU_UNSEEN = "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False."


def test_a_job_that_ran_out_of_time_is_not_asked():
    body = case_of({"job_kind": "custom", "where": "job.error", "text": UNHEARD})
    body["job"]["error"]["message"] += "; the CustomJob ran longer than its timeout of 3600s."
    found = diagnose(Case.parse(body))
    assert not by_words(found)


@pytest.mark.parametrize(
    "text", ["", "zq zq zq", "7", "\ud800\x00", "e" * 100_000, "disk " * 90_000]
)
def test_odd_texts_are_read(text):
    guess(text)
    assert len(features_of(text)) <= 800


def test_what_says_nothing_stays_unknown():
    assert told("Job failed.").verdict is Cause.UNKNOWN


# --- how a log ends ---------------------------------------------------------------------------------


def ended_with(*rows: str, status: int | None = 1, kind: str = "custom") -> dict[str, Any]:
    """A case: a job whose program wrote these rows last, and the status that the service tells."""
    body = case_of({"job_kind": kind, "where": "log.textPayload", "text": rows[0]})
    entry = body["logEntries"][0]
    body["logEntries"] = [
        {**entry, "insertId": f"l{number}", "textPayload": row} for number, row in enumerate(rows)
    ]
    if status is not None:
        message = f"The replica workerpool0-0 exited with a non-zero status of {status}."
        body["job"]["error"] = {"code": 3, "message": message}
    return body


NO_CARD = ("agent 2.1 starts", "found 0 GPU(s)", "cannot go on: no GPU at hand, agent needs 1")
OWN_WORDS = [
    (NO_CARD, Cause.ACCELERATOR_MISSING),
    (("loading tax rules", "rule service is in a maintenance window until 14:00", "import stopped"), Cause.TRANSIENT_BACKEND),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "cause"), OWN_WORDS)
def test_a_program_that_ends_in_its_own_words_is_understood_and_not_resubmitted(rows, cause):
    case = Case.parse(ended_with(*rows))
    found = diagnose(case)
    assert found.verdict is cause
    assert found.by_words_alone
    assert "by the words that it ends with" in found.causes[0].evidence[0].says
    text = "mode: enforce\nrerun_safe: [custom]\npolicies:\n  - {name: again, alert: [ml], do: [{resubmit: {}}]}\n"
    made = plan(case, found, policies(text), History(), Catalog.built_in())
    assert made.action is Action.ALERT
    assert "rests on words alone" in made.why_refused(Guard.CAUSE)


@pytest.mark.parametrize(
    "body",
    [
        ended_with(*NO_CARD, status=137),
        ended_with(*NO_CARD, status=143),
        ended_with(NO_CARD[-1]),
        ended_with("agent 2.1 starts", "found 2 GPU(s)", "peak memory usage 3.4 GB"),
        ended_with(
            "reading", "Reading quota project from environment: my-project", "rate limiter enabled"
        ),
    ],
    ids=[
        "killed",
        "terminated",
        "a single row",
        "no complaint",
        "no complaint of a quota",
    ],
)
def test_how_a_log_ends_is_not_asked_of(body):
    assert not diagnose(Case.parse(body)).by_words_alone


def test_what_a_signature_knows_is_not_outvoted_by_how_the_log_ends():
    rows = ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", *NO_CARD[1:])
    found = diagnose(Case.parse(ended_with(*rows)))
    assert not found.by_words_alone


def test_an_ending_leaves_out_dates_and_frames():
    rows = [
        "2026-12-01 10:00:00,123 INFO reading",
        "Traceback (most recent call last):",
        '  File "/app/run.py", line 3, in <module>',
        "    main()",
        "\tat com.example.Main.run(Main.java:7)",
        "",
        "ValueError: no rows",
    ]
    assert (
        ending_of(rows) == "INFO reading\nTraceback (most recent call last):\nValueError: no rows"
    )


def test_an_ending_is_short():
    rows = [f"row {number} " + "x" * 500 for number in range(40)]
    assert len(ending_of(rows)) == 900
    assert ending_of([f"row {number}" for number in range(40)]).split("\n")[0] == "row 32"
