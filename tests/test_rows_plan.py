"""What a batch did with its rows, in a case: what the plan says of a resume, and the cause."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import Action, Cause, Guard, History, Plan
from remediator.job.rows import RowAccount
from remediator.policy import Catalogue, plan
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
        History(),
        Catalogue.built_in(),
    )


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (None, "the rows that are left cannot be told apart yet, so they cannot be run alone"),
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
        (SOUND, "400 of 1,000 rows are left and could be run alone, which is not set up"),
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
    later = planned(rows, "do: [{resubmit: {rows: remaining}}, {resubmit: {}}]")
    assert (later.action, later.step) == (Action.RESUBMIT, 2)
    assert f"step 1 is passed over, {why}" in later.because


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
