"""What a batch did with its rows, in a case: what the plan says of a resume, and the cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remediator import settings
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.catalog.tokens import TokenPrice
from remediator.cli.main import main
from remediator.diagnosis import diagnose
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Guard,
    History,
    InvalidInput,
    JobState,
    Lack,
    Part,
    Plan,
    Resume,
)
from remediator.job.differences import illegal_differences
from remediator.job.rows import RowAccount, Tokens
from remediator.job.summary import output_of
from remediator.planning import plan
from remediator.planning.request import with_claim
from tests.jobs import BATCH, case, diagnosis, job, policies

SOUND = RowAccount(1000, 600, {}, 0, 400, 0, 0, "id", True, "it adds up")
SLOW = (
    "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 "
    "(upstream request timeout) from server, retry=3, elapsed=600.04s."
)
BAD = '{"code": 3, "message": "Invalid JSON payload received. Unknown name \\"x\\""}'


def planned(
    rows: RowAccount | None, do: str = "do: [{resubmit: {rows: remaining}}]", **more: Any
) -> Plan:
    text = (
        "mode: enforce\nrerun_safe: [batch_prediction]\n"
        f"policies:\n  - {{name: one, {do}}}\n  - {{name: rest}}\n"
    )
    document = more.pop("document", job(BATCH))
    return plan(
        replace(case(document), rows=rows),
        diagnosis(document, Cause.TRANSIENT_BACKEND),
        policies(text),
        more.pop("history", History()),
        Catalog.built_in(),
    )


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (None, "running only the rows that are left is not set up (REMEDIATOR_RESUME_BUCKET)"),
        (
            replace(SOUND, sound=False, because="2 lines match no row"),
            "the account of its rows is not sound: 2 lines match no row",
        ),
        (
            replace(SOUND, missing=300),
            "the account of its rows does not add up: 600 done, 0 failed and 300 missing of 1,000",
        ),
        (
            replace(SOUND, done=99, missing=901),
            "it is not worth it: 99 of 1,000 rows are done, less than a tenth",
        ),
        (
            replace(SOUND, done=300, failed={BAD: 301}, missing=399),
            "it is not worth it: 301 of the 601 rows that came back failed, more than half",
        ),
        (
            replace(SOUND, done=990, failed={BAD: 10}, missing=0),
            "no row is left that may come back when it is sent again",
        ),
        (
            SOUND,
            "400 of 1,000 rows are left and could be run alone, which is not set up",
        ),
        (
            replace(SOUND, done=300, failed={SLOW: 300}, retriable=300),
            "700 of 1,000 rows are left and could be run alone, which is not set up",
        ),
    ],
    ids=["none", "unsound", "sum", "little", "broken", "nothing", "worth", "half"],
)
def test_a_step_for_the_rows_that_are_left_says_why_it_is_passed_over(
    rows: RowAccount | None, why: str
) -> None:
    made = planned(rows)
    assert (made.action, made.refused_by, made.request) == (Action.ALERT, (Guard.ROWS,), None)
    assert why in made.because
    unset = Lack.RESUME_BUCKET if "not set up" in why else None
    assert [one.lack for one in made.refusals] == [unset]
    later = planned(rows, "do: [{resubmit: {rows: remaining}}, {resubmit: {}}]")
    assert (later.action, later.step) == (Action.RESUBMIT, 2)
    assert f"step 1 is passed over: {why}" in later.because


def batch_case(rows: RowAccount, **more: Any) -> Case:
    body = {**json.loads(json.dumps(BATCH)), "state": "JOB_STATE_SUCCEEDED", **more}
    body.pop("error", None)
    return Case.parse({"job": body, "rows": rows.to_json()})


def test_the_most_frequent_message_that_may_pass_names_the_cause() -> None:
    rows = RowAccount(100, 60, {BAD: 30, SLOW: 10}, 10, 0, 0, 0, "id", True, "")
    found = diagnose(batch_case(rows))
    assert found.verdict is Cause.REQUEST_TOO_LARGE
    assert any("rows.failed" in one.where for one in found.causes[0].evidence)
    never = diagnose(batch_case(replace(rows, failed={BAD: 40}, retriable=0)))
    assert never.verdict is Cause.BAD_INPUT


def test_missing_rows_of_an_expired_batch_name_no_cause() -> None:
    found = diagnose(batch_case(SOUND, state="JOB_STATE_EXPIRED"))
    assert found.verdict is Cause.UNKNOWN


def test_a_case_file_keeps_its_rows() -> None:
    held = batch_case(SOUND)
    assert held.rows == SOUND
    assert Case.parse(held.to_json()).rows == SOUND


SET_UP = History(resume_bucket="gs://ours/resume", resume_dataset="bq://p-1.ours")


def test_the_rows_that_are_left_become_the_input_of_a_new_job_with_an_output_of_its_own() -> None:
    made = planned(SOUND, history=SET_UP)
    assert (made.action, made.refused_by) == (Action.RESUBMIT, ())
    assert made.request is not None
    ident = str(BATCH["name"]).rpartition("/")[2]
    stem = f"{ident}-1-{{claim}}"
    assert made.request["inputConfig"]["gcsSource"]["uris"] == [
        f"gs://ours/resume/inputs/{stem}.jsonl"
    ]
    output = made.request["outputConfig"]["gcsDestination"]["outputUriPrefix"]
    assert output == f"gs://ours/resume/outputs/{stem}"
    assert made.resume == Resume(
        400, (Part(str(BATCH["name"]), 0, 600, output_of(job(BATCH)) or ""),), is_new=True
    )
    assert "only the rows that are left run again" in made.because
    assert "400 rows are left, and 600 of 1,000 need not run again (matched by id)" in made.because
    assert "less than running all rows again" in made.because
    sent = with_claim(made.request, "c0ffee")
    assert illegal_differences(job(BATCH), sent, made.changes) == ()
    assert illegal_differences(job(BATCH), sent) != ()
    assert "{claim}" not in json.dumps(sent)


def test_other_changes_of_the_step_apply_to_the_rows_that_are_left() -> None:
    made = planned(SOUND, "do: [{resubmit: {rows: remaining, batch_size: 8}}]", history=SET_UP)
    fields = {change.field for change in made.changes}
    assert "manualBatchTuningParameters.batchSize" in fields
    assert "inputConfig.gcsSource.uris" in fields


def test_the_rows_that_are_left_cost_their_share_of_the_failed_run() -> None:
    whole = planned(SOUND, "do: [{resubmit: {}}]")
    part = planned(SOUND, history=SET_UP)
    assert 0 < (part.estimated_usd or 0) < (whole.estimated_usd or 0)


GEMINI = {
    name: value
    for name, value in {**BATCH, "model": "publishers/google/models/gemini-2.5-flash-001"}.items()
    if name not in {"dedicatedResources", "manualBatchTuningParameters"}
}


def test_what_bigquery_is_paid_for_the_rows_is_part_of_the_sum_and_bound_by_the_limits() -> None:
    plain = planned(SOUND, history=SET_UP)
    made = planned(replace(SOUND, query_usd=2.5), history=SET_UP)
    assert made.estimated_usd == pytest.approx((plain.estimated_usd or 0) + 2.5)
    assert made.worst_case_usd == pytest.approx((plain.worst_case_usd or 0) + 2.5)
    assert made.resume.query_usd == 2.5
    said = "queries of BigQuery for its rows, by a dry run: about $2.5"
    assert said in made.because
    assert said in made.cost_basis
    limited = "do: [{resubmit: {rows: remaining}}], limits: {usd_per_job: 2}"
    dear = planned(replace(SOUND, query_usd=2.5), limited, history=SET_UP, document=job(GEMINI))
    assert dear.refused_by == (Guard.USD_PER_JOB,)
    assert planned(SOUND, limited, history=SET_UP, document=job(GEMINI)).refused_by == ()


@pytest.mark.parametrize(
    ("tokens", "model", "usd", "words"),
    [
        (Tokens(600_000_000, 60_000_000), "gemini-2.5-flash-001", 110.0, "about $165.00 less"),
        (Tokens(600_000_000, 60_000_000, 1), "gemini-2.5-flash", 0.0, "in dollars is not known"),
        (Tokens(600_000_000, 60_000_000), "gemini-9-ultra", 0.0, "in dollars is not known"),
        (None, "gemini-2.5-flash", 0.0, "in dollars is not known"),
    ],
    ids=["priced", "some-without", "no-price", "no-tokens"],
)
def test_a_publishers_batch_is_priced_by_the_tokens_of_its_done_rows_where_that_is_known(
    tokens: Tokens | None, model: str, usd: float, words: str
) -> None:
    """$0.15 and $1.25 a million: 600 done rows were billed $165, and the 400 left will be $110."""
    document = job({**GEMINI, "model": f"publishers/google/models/{model}"})
    made = planned(replace(SOUND, tokens=tokens), history=SET_UP, document=document)
    assert (made.action, made.estimated_usd) == (Action.RESUBMIT, usd)
    assert "600 of 1,000 need not run again" in made.because
    assert words in made.because
    refused = planned(replace(SOUND, tokens=tokens), document=document)
    assert "600 rows would not have to run again" in refused.because
    assert ("about $165.00 less" in refused.because) == (usd > 0)


def test_a_users_own_prices_stand_for_a_model_that_is_not_listed() -> None:
    own = Catalog.built_in().with_overrides(
        {"models": {"gemini-9-ultra": {"input": 1, "output": 2}}}
    )
    assert own.token_price("publishers/google/models/gemini-9-ultra@001") == TokenPrice(1.0, 2.0)
    with pytest.raises(InvalidInput, match=r"models\.x: expected US dollars for a million tokens"):
        own.with_overrides({"models": {"x": {"input": 1}}})


def test_a_publishers_batch_is_resumed_under_a_money_limit_and_booked_at_nothing() -> None:
    """The price of tokens is not known; fewer rows of the same model cannot cost more."""
    text = "do: [{resubmit: {rows: remaining}}], limits: {usd_per_job: 5}"
    made = planned(SOUND, text, history=SET_UP, document=job(GEMINI))
    assert (made.action, made.estimated_usd) == (Action.RESUBMIT, 0.0)
    assert "booked at 0" in made.because
    again = planned(SOUND, "do: [{resubmit: {}}], limits: {usd_per_job: 5}", document=job(GEMINI))
    assert again.refused_by == (Guard.UNKNOWN_PRICE,)


def test_a_bucket_in_another_place_takes_no_rows() -> None:
    held = replace(case(job(BATCH)), buckets={"ours": "EUROPE-WEST4"}, rows=SOUND)
    text = "policies:\n  - {name: one, do: [{resubmit: {rows: remaining}}]}\n"
    made = plan(
        held, diagnosis(job(BATCH), Cause.UNKNOWN), policies(text), SET_UP, Catalog.built_in()
    )
    assert made.refused_by == (Guard.ROWS,)
    assert "REMEDIATOR_RESUME_BUCKET is in europe-west4" in made.because


def test_a_succeeded_batch_is_resumed_where_rows_may_pass_and_never_run_whole() -> None:
    done = job({**BATCH, "state": "JOB_STATE_SUCCEEDED", "error": None})
    rows = replace(SOUND, done=980, failed={SLOW: 20}, retriable=20, missing=0)
    both = "do: [{resubmit: {}}, {resubmit: {rows: remaining}}]"
    made = planned(rows, both, history=SET_UP, document=done)
    assert (made.action, made.step, made.resume.sent) == (Action.RESUBMIT, 2, 20)
    assert planned(rows, "do: [{resubmit: {}}]", history=SET_UP, document=done).request is None
    never = replace(rows, failed={BAD: 20}, retriable=0)
    refused = planned(never, both, history=SET_UP, document=done)
    assert (refused.action, refused.refused_by) == (Action.ALERT, (Guard.ROWS,))


def test_an_attempt_that_was_a_resume_hands_its_parts_on() -> None:
    parts = (Part("projects/p/locations/us-central1/batchPredictionJobs/1", 0, 600, "gs://out/a"),)
    earlier = Attempt(
        str(BATCH["name"]), JobState.FAILED, None, "one", 1, "unknown", (), number=1,
        resume=Resume(400, parts),
    )  # fmt: skip
    assert Attempt.parse(earlier.to_json()).resume == earlier.resume
    paid = replace(earlier, resume=replace(earlier.resume, query_usd=1.5))
    assert Attempt.parse(paid.to_json()).resume.query_usd == 1.5
    again = planned(
        SOUND,
        "do: [{resubmit: {rows: remaining}, times: 3}]",
        history=replace(SET_UP, attempts=(earlier,)),
    )
    assert [part.attempt for part in again.resume.parts] == [0, 1]
    whole = planned(SOUND, "do: [{resubmit: {}, times: 3}]", history=History(attempts=(earlier,)))
    assert (whole.resume.parts, whole.resume.sent, whole.resume.is_new) == (parts, 400, False)


@pytest.mark.parametrize(
    ("text", "why"),
    [("s3://x", "not gs://BUCKET"), ("gs://B", "not gs://BUCKET"), ("gs://ab*c/x", "not gs://")],
)
def test_a_bucket_that_is_none_stops_the_start(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        settings.resume_targets({"REMEDIATOR_RESUME_BUCKET": text})
    found = settings.resume_targets(
        {"REMEDIATOR_RESUME_BUCKET": "gs://our-b/x/", "REMEDIATOR_RESUME_DATASET": "p-123.ds"}
    )
    assert found == ("gs://our-b/x", "bq://p-123.ds")


def test_offline_the_setting_decides_whether_a_resume_is_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(
        "version: 1\nmode: enforce\npolicies:\n  - {name: one, do: [{resubmit: {rows: remaining}}]}\n"
    )
    held = tmp_path / "case.json"
    expired = {**BATCH, "state": "JOB_STATE_EXPIRED", "error": None}
    held.write_text(json.dumps({"job": expired, "rows": SOUND.to_json()}))

    def answer() -> dict[str, Any]:
        assert main(["plan", str(held), "--policies", str(file), "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    monkeypatch.delenv("REMEDIATOR_RESUME_BUCKET", raising=False)
    assert (answer()["action"], answer()["refused_by"]) == ("alert", ["rows"])
    monkeypatch.setenv("REMEDIATOR_RESUME_BUCKET", "gs://ours-1/x")
    found = answer()
    assert (found["action"], found["verdict"]) == ("resubmit", "unknown")
    monkeypatch.setenv("REMEDIATOR_RESUME_BUCKET", "ours")
    assert main(["plan", str(held), "--policies", str(file)]) == 2
