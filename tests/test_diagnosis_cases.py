"""Every case of every set through the command line; any evidence at all through the diagnosis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.diagnosis.corpus import case_of, messages
from bench.diagnosis.physics import CAUSES, DEATHS, cases, deaths
from bench.diagnosis.run import reasons
from bench.diagnosis.strangers import strangers
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.cli.main import main
from remediator.diagnosis import THRESHOLD, diagnose
from remediator.diagnosis.matching import all_signatures
from remediator.diagnosis.metrics import read_usage
from remediator.diagnosis.texts.case_text import clean
from remediator.diagnosis.timeline import read_timeline
from remediator.domain import NEVER_RETRIED, Cause, Source
from tests.case_parts import at, batch, custom, lines

SETS = ("messages", "held_out", "fresh", "written", "recalled", "time-outs", "deaths")
CAUSE_WORDS = {cause.value for cause in Cause}
SOURCE_WORDS = {source.value for source in Source}


def bodies(name: str) -> Iterator[dict[str, Any]]:
    if name == "time-outs":
        yield from (made.body for made in cases(120))
    elif name == "deaths":
        yield from (made.body for made in deaths(60, reasons()))
    else:
        yield from (case_of(row) for row in messages(name))


def check(answer: dict[str, Any], job: dict[str, Any]) -> None:
    """What the contract says of `diagnose --json`."""
    assert {"job", "kind", "verdict", "causes"} <= set(answer)
    assert answer["job"] == job["name"]
    assert answer["verdict"] in CAUSE_WORDS
    stated = [cause["confidence"] for cause in answer["causes"]]
    assert stated == sorted(stated, reverse=True)
    assert all(0 <= p <= 1 for p in stated)
    if answer["verdict"] == "unknown":
        assert not stated or stated[0] < THRESHOLD
    else:
        assert answer["verdict"] == answer["causes"][0]["cause"]
        assert stated[0] >= THRESHOLD
    for cause in answer["causes"]:
        assert {"cause", "confidence", "evidence"} <= set(cause)
        assert cause["cause"] in CAUSE_WORDS - {"unknown"}
        assert cause["evidence"]
        for item in cause["evidence"]:
            assert {"source", "where", "says"} <= set(item)
            assert item["source"] in SOURCE_WORDS
            assert item["where"]
            assert item["says"]


@pytest.fixture
def answer_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What `diagnose --json` answers of a case, held to the contract."""
    path = tmp_path / "case.json"

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        path.write_text(json.dumps(body), encoding="utf-8")
        assert main(["diagnose", str(path), "--json"]) == 0
        said = capsys.readouterr()
        answer = json.loads(said.out)
        check(answer, body["job"])
        assert said.err == ""
        return answer

    return ask


@pytest.mark.parametrize("name", SETS)
def test_the_command_line_answers_as_the_contract_says(name, answer_to):
    assert sum(1 for body in bodies(name) if answer_to(body)) >= 60


def test_strangers_cases_are_judged_right_and_none_is_sent_to_a_machine_in_vain(answer_to):
    """By the command line, too: each of these cases takes as long as ten messages."""
    found = [(s, answer_to(s.body)["verdict"]) for s in strangers(times=1, seed=9)]
    wrong = [(s.name, s.truth, v) for s, v in found if s.judged(v) == "wrong"]
    right = sum(s.judged(v) == "right" for s, v in found)
    assert len(found) >= 60
    assert right >= 0.95 * len(found), wrong
    assert not [w for w in wrong if w[2] in {"memory_pressure", "accelerator_missing"}]


def test_a_job_that_died_without_a_word_is_never_put_down_to_something_else():
    found = [(m.truth, diagnose(Case.parse(m.body)).verdict.value) for m in deaths(100, reasons())]
    assert {truth for truth, _ in found} == set(DEATHS)
    assert [pair for pair in found if pair[1] not in {pair[0], "unknown"}] == []
    assert sum(truth == verdict for truth, verdict in found) >= 75


# --- wrappers and failed rows ---------------------------------------------------------------------

# One message of each kind, as the rest of the software says it; what is around it must not count.
INSIDE = [
    ("CUDA out of memory. Tried to allocate 2.00 GiB", Cause.GPU_MEMORY),
    ("ModuleNotFoundError: No module named 'trainer'", Cause.USER_CODE_ERROR),
    ("Permission 'storage.objects.get' denied on resource", Cause.PERMISSION),
    ("The following quota metrics exceed quota limits: aiplatform.googleapis.com/x", Cause.QUOTA),
    ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1", Cause.BAD_INPUT),
    ("Resources are insufficient in region: us-central1.", Cause.CAPACITY_STOCKOUT),
]
AROUND = [
    ("nothing", "{}"),
    ("retries", "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 500 ({}) from server, retry=3, elapsed=0.4s."),
    ("an exit status", "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error. {}"),
    ("a failed pipeline", "The DAG failed because some tasks failed. The failed tasks are: [train].; Job (project_id = p, job_id = 1) is failed due to the above error.; {}"),
    ("Python's code and message", 'code: 13 message: "{}"'),
    ("a platform exception", "com.google.cloud.ai.platform.common.errors.AiPlatformException: code=ABORTED, message={}, cause=null; Failed to create custom job."),
    ("a traceback", 'Traceback (most recent call last): File "/app/train.py", line 10, in <module> {}'),
]  # fmt: skip


@pytest.mark.parametrize("around", [a[1] for a in AROUND], ids=[a[0] for a in AROUND])
@pytest.mark.parametrize(("inside", "cause"), INSIDE, ids=[cause.value for _, cause in INSIDE])
def test_what_is_wrapped_decides_whatever_is_around_it(inside, cause, around):
    text = around.replace("{}", inside)
    for depth in range(3):
        job = custom(900, text)["job"] | {"error": {"message": text}}
        assert diagnose(Case.parse({"job": job})).verdict is cause, depth
        text = json.dumps({"error": {"message": text}})


@pytest.mark.parametrize("around", [a[1] for a in AROUND if "500" not in a[1]], ids=str)
def test_a_wrapper_with_nothing_inside_is_no_verdict(around):
    text = around.replace("{}", "")
    found = diagnose(Case.parse({"job": custom(900)["job"] | {"error": {"message": text}}}))
    assert found.verdict in {Cause.UNKNOWN, Cause.USER_CODE_ERROR}
    if "Traceback" not in text:
        assert found.verdict is Cause.UNKNOWN


def rows(*told: tuple[str, int]) -> dict[str, str]:
    text = "".join(f"({message!r}, {count})\n" for message, count in told)
    return {"gs://o/prediction.errors_stats-00000-of-00001": text}


FAILED_ROWS = [
    ("succeeded, some rows bad", "SUCCEEDED", {"successfulCount": "90", "failedCount": "10"}, rows(("Could not parse instance: x", 10)), Cause.BAD_INPUT,
     '10 of 100 instances failed, all alike, for example: "Could not parse instance: x"'),
    ("partially succeeded, never attempted the rest", "PARTIALLY_SUCCEEDED", {"successfulCount": "1", "failedCount": "2", "incompleteCount": "97"}, rows(("CUDA out of memory", 2)), Cause.GPU_MEMORY,
     '2 of 100 instances failed (97 never attempted), all alike, for example: "CUDA out of memory"'),
    ("a count that is unknown", "SUCCEEDED", {"successfulCount": "-1", "failedCount": "-1", "incompleteCount": "-1"}, rows(("Could not parse instance: x", 3)), Cause.BAD_INPUT,
     '3 instances failed, all alike, for example: "Could not parse instance: x"'),
    ("two errors, the more frequent first", "SUCCEEDED", {"successfulCount": "5", "failedCount": "4"}, rows(("Invalid JSON instance", 1), ("Could not parse instance: x", 3)), Cause.BAD_INPUT,
     '4 of 9 instances failed, 2 different errors, for example: "Could not parse instance: x"'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "stats", "files", "cause", "says"),
    [f[1:] for f in FAILED_ROWS],
    ids=[f[0] for f in FAILED_ROWS],
)
def test_failed_instances_are_summed_up(state, stats, files, cause, says):
    body = batch(state=f"JOB_STATE_{state}", error=None, completionStats=stats)
    found = diagnose(Case.parse(body | {"errorFiles": files}))
    assert found.verdict is cause
    assert found.causes[0].evidence[-1].says == says


# --- anything at all --------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
# Words that the readers look for, so that the draws get past the first test.
WORDS = st.sampled_from(
    [
        "CUDA out of memory", "timed out", "quota exceeded", "step 3/10", "[load] 4 s", "\x00\xff",
        "\ud800", "elapsed=600.0s", "Non-OK result 504", "(", "\\n" * 9, "🦊", "took 9 min",
        '{"remediatorTelemetry": 1, "cpu": 0.9, "section": "x"}', "{" * 40, "0/8 nodes are available",
    ]
)  # fmt: skip
TEXT = st.lists(WORDS | st.text(max_size=30), max_size=6).map(" ".join)
LOG_ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "textPayload": TEXT | JSON,
        "jsonPayload": st.dictionaries(
            st.sampled_from(["message", "cpu", "gpus", "section", "remediatorTelemetry", "time"]),
            TEXT | JSON,
            max_size=5,
        ),
        "timestamp": st.sampled_from([at(0), at(99), "yesterday", ""]) | JSON,
        "severity": st.sampled_from(["ERROR", "INFO", ""]) | JSON,
        "insertId": TEXT,
        "labels": st.dictionaries(st.sampled_from(["task_name", "x"]), TEXT | JSON, max_size=2),
        "resource": JSON
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(["ml_job", "global"]),
                "labels": st.just({"task_name": "service"}),
            }
        ),
    },
)
POINT = st.builds(
    lambda second, value: {"interval": {"endTime": at(second)}, "value": value},
    st.integers(-1000, 5000),
    st.dictionaries(
        st.sampled_from(["doubleValue", "int64Value"]),
        st.floats() | st.text(max_size=5),
        max_size=1,
    ),
)
SERIES = st.builds(
    lambda name, points: {"metric": {"type": f"ml.googleapis.com/{name}"}, "points": points},
    st.sampled_from(
        [
            "training/cpu/utilization", "training/memory/utilization", "prediction/online/cpu/utilization",
            "prediction/online/memory/bytes_used", "training/network/received_bytes_count",
        ]
    ),
    st.lists(POINT, max_size=6),
)  # fmt: skip
STATUS = st.fixed_dictionaries({}, optional={"code": JSON, "message": TEXT | JSON, "details": JSON})


@given(
    kind=st.sampled_from([batch, custom]),
    error=STATUS | JSON,
    partial=st.lists(STATUS, max_size=3) | JSON,
    stats=st.dictionaries(st.sampled_from(["failedCount", "successfulCount"]), JSON, max_size=2),
    log=st.lists(LOG_ENTRY, max_size=6),
    series=st.lists(SERIES, max_size=3),
    files=st.dictionaries(st.just("gs://o/errors"), TEXT, max_size=1),
    state=st.sampled_from(["FAILED", "SUCCEEDED", "CANCELLED", "EXPIRED", "??"]),
)
def test_no_evidence_makes_the_diagnosis_raise(
    kind, error, partial, stats, log, series, files, state
):
    job = kind()["job"] | {
        "error": error if isinstance(error, dict) else None,
        "partialFailures": partial,
        "completionStats": stats,
        "state": f"JOB_STATE_{state}",
    }
    found = diagnose(
        Case.parse({"job": job, "logEntries": log, "timeSeries": series, "errorFiles": files})
    )
    assert sum(cause.confidence for cause in found.causes) <= 1 + 1e-9
    json.dumps(found.to_json())


@given(st.lists(TEXT, min_size=1, max_size=20))
@example(["quota exceeded 0/8 nodes are available STOCKOUT"])
def test_no_workers_line_lifts_what_may_be_retried_over_what_may_not(told):
    """A job whose own error says "never again" stays that, whatever its log asks for."""
    body = custom(900, "Permission 'storage.objects.get' denied on resource x")
    forged = [*told, "CUDA out of memory", "Resources are insufficient in region: us-central1"]
    entries = lines(*enumerate(forged))
    assert diagnose(Case.parse(body | {"logEntries": entries})).verdict in NEVER_RETRIED


def test_partial_failures_are_a_sample_of_what_the_error_files_hold():
    body = batch(
        state="JOB_STATE_PARTIALLY_SUCCEEDED",
        error=None,
        partialFailures=[{"code": 3, "message": "Instance 5: Could not parse instance: x"}],
    )
    files = rows(("Could not parse instance: x", 10))
    found = diagnose(Case.parse(body | {"errorFiles": files}))
    said = [item.says for item in found.causes[0].evidence]
    assert '10 instances failed, all alike, for example: "Could not parse instance: x"' in said, (
        said
    )
    assert said[0].startswith("a partial failure, 10 times: ")


def test_what_several_signatures_see_is_shown_once():
    found = diagnose(
        Case.parse(
            custom(
                900,
                "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137.",
            )
        )
    )
    shown = found.causes[0].evidence
    assert len(set(shown)) == len(shown)


def test_what_is_read_of_a_text_is_bounded_whatever_its_length():
    assert len(clean("x " * 5_000_000)) < 13_000
    assert len(clean("\\n" * 5_000_000)) < 13_000


def test_a_line_of_any_length_is_looked_at_up_to_a_bound():
    for filler, host in (("x ", "data.example"), ("x " * 500_000, "")):
        entries = lines((1, f"reading {filler} https://data.example/reads"), (700, "done"))
        case = Case.parse(custom(900) | {"logEntries": entries})
        timeline = read_timeline(case, read_usage(case, case.job.facts(Catalog.built_in())))
        assert timeline.timeline_sections[0].host == host


def test_no_pattern_may_match_without_bound():
    """A row is looked for in the whole text at once: `.*` would quote all of it."""
    patterns = [(row.id, one.regex) for row in all_signatures() for one in row.patterns]
    assert [one for one in patterns if ".*" in one[1].replace(r"\.*", "")] == []


def test_the_sets_cover_what_they_claim():
    assert {made.truth for made in cases(10)} == set(CAUSES)
    held = messages("held_out")
    assert len({row["id"] for row in held}) == len(held)
    known = {row["source"] for row in messages("messages")}
    assert not {row["source"] for row in held} & known
    assert all(row["source"] and row["why"] for row in held)
