"""What each alert says, as whole texts and answer by answer."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from remediator.alerts.actions import what_was_done
from remediator.alerts.compose import compose
from remediator.alerts.message import AlertKind, Message, Severity, as_text
from remediator.case import Gap
from remediator.domain import (
    Action,
    Cause,
    Evidence,
    Frame,
    Guard,
    GuardRefusal,
    InvalidInput,
    RankedCause,
    Source,
)
from remediator.job.summary import RowCounts
from tests.alert_situations import (
    DIAGNOSIS,
    ENDED,
    FACTS,
    FAILED_ATTEMPT,
    NOTHING,
    PLAN,
    SITUATIONS,
    TEXTS,
)


@pytest.mark.parametrize("name", SITUATIONS)
def test_an_alert_reads_as_written_here(name: str) -> None:
    message = compose(SITUATIONS[name])
    assert as_text(replace(message, links=())) == (TEXTS / f"{name}.txt").read_text()


_UNBOUND = "it has no time-out of its own, and Vertex ends it after 168 h"


def test_notes_and_the_basis_of_the_estimate_stand_in_their_own_places() -> None:
    """The plan's whole sentence says verdict, change and cost again; an alert does not."""
    plan = replace(
        PLAN,
        because="CPU saturation (74% sure): machine type becomes n1-standard-16; about $3.04.",
        notes=("a T4 does not go with n1-standard-32: two of them",),
        cost_basis="65% was done in 2 h, at $0.874 an hour",
        worst_case_usd=146.83,
        worst_case_basis=_UNBOUND,
    )
    told = dict(compose(replace(FACTS, plan=plan)).answers)
    assert told["What was done"][0].endswith("-> n1-standard-16. Policy starved-of-cpu, step 1.")
    assert told["What was done"][1:] == ("A T4 does not go with n1-standard-32: two of them.",)
    about, most = told["What it may cost"][0].split(". At most ")
    assert about == "About $3.04 for this attempt (65% was done in 2 h, at $0.874 an hour)"
    assert most == f"$146.83: {_UNBOUND}."


def test_proof_is_given_once_and_a_bare_pattern_is_no_proof() -> None:
    line = Evidence(Source.LOG, "a1", "Killed")
    wild = Evidence(Source.LOG, "a2", "<*> <*>: <NUM>")
    cause = RankedCause(Cause.MEMORY_PRESSURE, 0.9, (line, wild, replace(line, where="a3")))
    found = replace(DIAGNOSIS, verdict=Cause.MEMORY_PRESSURE, causes=(cause,))
    assert compose(replace(FACTS, diagnosis=found)).evidence == (line,)


@pytest.mark.parametrize(
    ("cause", "error", "title"),
    [
        (
            Cause.USER_CODE_ERROR,
            "Traceback: ValueError: bad row During handling: KeyError: 'chrom'",
            "failed (error in the code: KeyError: 'chrom')",
        ),
        (Cause.BAD_INPUT, "No file was found at gs://in/x.jsonl.", "(bad input: gs://in/x.jsonl)"),
        (
            Cause.PERMISSION,
            "Permission 'storage.objects.get' denied on resource x.",
            "(permission missing: storage.objects.get)",
        ),
        (
            Cause.QUOTA,
            "exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus",
            "(quota used up: custom_model_training_cpus)",
        ),
        (
            Cause.QUOTA,
            "The following quotas are exceeded: CustomModelTrainingCPUsPerProjectPerRegion",
            "(quota used up: CustomModelTrainingCPUsPerProjectPerRegion)",
        ),
        (
            Cause.QUOTA,
            "Insufficient 'CPUS' quota. Requested 44.0, available 12.0.",
            "(quota used up: CPUS)",
        ),
        (
            Cause.QUOTA,
            "429 POST https://storage.googleapis.com/upload/storage/v1/b/x/o: the object is written too often",
            "(quota used up)",
        ),
        (Cause.MEMORY_PRESSURE, "gs://in/x MemoryError: no", "failed (out of memory)"),
        (Cause.BAD_INPUT, "the rows cannot be read", "failed (bad input)"),
    ],
)
def test_the_first_line_says_what_the_cause_is_about(cause: Cause, error: str, title: str) -> None:
    found = replace(DIAGNOSIS, verdict=cause, causes=(RankedCause(cause, 0.9, ()),))
    facts = replace(SITUATIONS["alert-limit"], plan=NOTHING, diagnosis=found, error=error)
    assert compose(facts).title.endswith(title)


def test_no_half_of_a_secret_stands_in_the_first_line() -> None:
    """Cut first and redacted then, it would not be known for one."""
    secret = "eyJhbGciOiJIUzI1NiJ9." + "c3ViamVjdA" * 9 + "." + "c2lnbmF0dXJl" * 5
    error = f"ValueError: the server did not like the bearer of {secret}"
    cause = RankedCause(Cause.USER_CODE_ERROR, 0.9, ())
    found = replace(DIAGNOSIS, verdict=cause.cause, causes=(cause,))
    told = compose(replace(SITUATIONS["alert-limit"], diagnosis=found, error=error)).title
    assert "ValueError: the server did not like the bearer of" in told
    assert "eyJ" not in told


def test_rows_that_say_one_thing_are_quoted_once() -> None:
    """As the error file and the job's own statistics tell them, each cut in its own way."""
    row = 'Cannot get predictions. Error: Non-OK result 422 ({"detail":[{"msg":"field required"}]})'
    rows = (
        Evidence(
            Source.ERROR_FILE, "gs://out/e-1", f'an error row, 3 times: "… {row} from server."'
        ),
        Evidence(
            Source.ERROR_FILE, "gs://out/e-1", f'an error row, 3 times: "… {row[24:]} from …"'
        ),
        Evidence(Source.JOB, "stats", f'3 failed, all alike, for example: "Post fails. {row} …"'),
        Evidence(Source.LOG, "a1", 'a worker says: "the field chrom is required in each row"'),
    )
    found = replace(DIAGNOSIS, causes=(RankedCause(Cause.BAD_INPUT, 0.9, rows),))
    assert [item.says for item in compose(replace(FACTS, diagnosis=found)).evidence] == [
        rows[0].says,
        "3 failed, all alike, as above",
        rows[3].says,
    ]


def test_where_a_person_would_have_been_asked_observing_says_so() -> None:
    asks = replace(SITUATIONS["observed"], plan=replace(PLAN, action=Action.APPROVE))
    assert compose(asks).next_step == (
        "Resubmit it yourself if you agree; with mode: enforce you would have been asked."
    )


def test_a_source_that_was_not_read_is_said_once_and_without_the_call() -> None:
    why = "reading bucket b: GET http://host/storage/v1/b/b?alt=json: it does not exist"
    found = replace(DIAGNOSIS, missing=(f"storage could not be read: {why}", "the server's log"))
    facts = replace(FACTS, diagnosis=found, gaps=(Gap(Source.STORAGE, why),))
    assert dict(compose(facts).answers)["Why"][-2:] == (
        "Would settle it: the server's log",
        "Not read: storage, reading bucket b: it does not exist",
    )


def test_mails_of_a_chain_differ_by_their_subject_and_share_a_topic() -> None:
    names = ("acted", "next_attempt", "approval", "recovered", "given_up")
    messages = [compose(SITUATIONS[name]) for name in names]
    assert [message.subject for message in messages] == [
        "[vertex] genomic-prep failed (1234567890)",
        "[vertex] genomic-prep failed (1234567890)",
        "[vertex] Approval needed for genomic-prep (1234567890)",
        "[vertex] genomic-prep recovered (1234567890)",
        "[vertex] genomic-prep given up (1234567890)",
    ]
    assert {message.topic for message in messages} == {"[vertex] genomic-prep (1234567890)"}
    assert compose(SITUATIONS["old_failures"]).subject == ""


def test_what_costs_no_more_than_it_is_estimated_at_is_told_once() -> None:
    told = dict(compose(replace(FACTS, plan=replace(PLAN, worst_case_usd=3.04))).answers)
    assert told["What it may cost"] == ("At most $3.04 for this attempt.",)


def test_giving_up_says_what_another_attempt_would_cost() -> None:
    last = replace(FAILED_ATTEMPT, estimated_usd=4.0)
    facts = replace(SITUATIONS["given_up"], plan=NOTHING, attempts=(last,))
    assert dict(compose(facts).answers)["What it cost"][-1] == (
        "Another attempt like the last would cost about $4.00."
    )


def test_a_recovery_says_where_the_results_are() -> None:
    told = dict(compose(replace(SITUATIONS["recovered"], output="gs://out/prediction-7")).answers)
    assert told["What was done"][-1] == "Results: gs://out/prediction-7"


def test_parts_of_the_results_do_not_make_it_the_remediator_who_cancelled() -> None:
    """A batch that goes on with what is left has lines on its parts, whoever ends it."""
    parts = ("The results lie in two parts.",)
    told = compose(replace(SITUATIONS["cancelled"], extra=parts))
    assert told.title == "Given up: attempt 1 of genomic-prep was cancelled"
    assert told.next_step == "Nothing, if that was meant; otherwise resubmit it yourself."
    assert dict(told.answers)["What was done"] == (
        "Nothing more: what a person cancels is not resubmitted.",
        *parts,
    )


def test_a_question_says_until_when() -> None:
    reason = "`custom` is not in `rerun_safe`: with it there nobody need be asked"
    plan = replace(PLAN, action=Action.APPROVE, approval_reasons=(reason,))
    asked = replace(SITUATIONS["approval"], plan=plan, approve_until=ENDED)
    assert compose(asked).next_step == (
        "Approve or decline by 2026-11-23 20:00 UTC; after that nothing is done. "
        f"Asked because {reason}."
    )


def test_the_place_in_the_code_and_the_last_lines_are_told_and_redacted() -> None:
    lines = ("loading", "token ghp_" + "a1B2" * 9, "KeyError: 'chrom'")
    found = replace(DIAGNOSIS, frame=Frame("/app/train.py", 12, "main"), last_lines=lines)
    told = dict(compose(replace(FACTS, diagnosis=found)).answers)
    assert "In your code: /app/train.py, line 12, in main." in told["Why"]
    assert told["Last lines before the end"][0] == "loading"
    assert told["Last lines before the end"][2] == "KeyError: 'chrom'"
    assert "a1B2" not in told["Last lines before the end"][1]


def test_a_line_that_a_proof_quotes_is_not_shown_again_for_its_fields() -> None:
    quoted = 'the log of workerpool0-0: "KeyError: no column chrom"'
    cause = replace(DIAGNOSIS.causes[0], evidence=(Evidence(Source.LOG, "l1", quoted),))
    lines = ("reading · shard=17", "KeyError: no column chrom · shard=17")
    found = replace(DIAGNOSIS, causes=(cause,), last_lines=lines)
    told = dict(compose(replace(FACTS, diagnosis=found)).answers)
    assert told["Last lines before the end"] == ("reading · shard=17",)


def test_a_command_works_in_an_empty_shell() -> None:
    place = "firestore://vertex-remediator/remediator"
    asked = replace(SITUATIONS["approval"], project="genomics-lab", ledger=place)
    assert compose(asked).commands[0] == (
        "GOOGLE_CLOUD_PROJECT=genomics-lab REMEDIATOR_LOCATIONS=us-central1 "
        f"REMEDIATOR_LEDGER={place} python -m remediator approve apr-7f3a"
    )


def test_whose_job_it_is_stands_in_the_first_line_where_there_is_room() -> None:
    whose = replace(FACTS, owner="nlp", project="lab", account="train@lab.iam.gserviceaccount.com")
    message = compose(whose)
    assert message.title == (
        "Resubmitted: genomic-prep failed (CPUs full), now on n1-standard-16 · nlp · lab · train"
    )
    assert dict(message.answers)["The job"][1] == (
        "Project lab, owner nlp, account train@lab.iam.gserviceaccount.com"
    )
    long = compose(replace(whose, display_name="x" * 60, owner="y" * 50))
    assert len(long.title) <= 150
    assert "yyy" not in long.title


def test_what_vertex_writes_under_every_error_is_not_read_out() -> None:
    said = "The replica workerpool0-0 exited with a non-zero status of 1."
    link = "https://console.cloud.google.com/logs/viewer?project=1&resource=ml_job%2Fjob_id%2F7"
    asked = f"{said} To find out more about why your job exited please check the logs: {link}"
    assert dict(compose(replace(FACTS, error=asked)).answers)["The job"][-1] == said


def test_only_what_needs_a_person_is_loud() -> None:
    loud = {n for n, f in SITUATIONS.items() if compose(f).severity is Severity.LOUD}
    assert loud == {
        "approval",
        "alert-limit",
        "alert-slow-code",
        "alert-unknown",
        "alert-partial",
        "alert-in-vain",
        "alert-said-once",
        "nobody-answered",
        "declined",
        "cancelled",
        "cancelled-by-us",
        "deleted",
        "ledger_damaged",
        "no_permission",
        "refused_creation",
        "given_up",
        "sink_silent",
        "grouped",
        "overrun",
        "running",
        "running-asked",
        "running-left",
    }


def test_every_kind_has_a_situation_here() -> None:
    assert {f.kind for f in SITUATIONS.values()} == set(AlertKind)


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_stored_alert_comes_back_the_same(name: str) -> None:
    message = compose(SITUATIONS[name])
    assert Message.parse(json.loads(json.dumps(message.to_json()))) == message


@pytest.mark.parametrize("damage", ["kind", "facts", "buttons"])
def test_a_damaged_stored_alert_is_unusable(damage: str) -> None:
    body = {**compose(FACTS).to_json(), damage: "?"}
    with pytest.raises(InvalidInput):
        Message.parse(body)


def test_buttons_stand_only_where_there_is_something_to_approve() -> None:
    with_buttons = {n for n, f in SITUATIONS.items() if compose(f).buttons}
    assert with_buttons == {"approval", "running-asked"}
    assert compose(replace(SITUATIONS["approval"], approval_id="")).buttons == ()


def test_a_batch_tells_its_rows_by_message_and_where_the_output_lies() -> None:
    """Messages that differ in numbers alone are one."""
    told = dict(compose(SITUATIONS["alert-partial"]).answers)
    assert told["Rows of the batch"] == (
        "1,024 rows: 900 done, 100 failed, 24 never attempted.",
        '90 failed: "row 17: no field sequence"',
        '10 failed: "too long"',
        "Output: gs://out/run",
    )


@pytest.mark.parametrize(
    ("rows", "errors", "lines"),
    [
        (
            RowCounts(0, 64, 0, "gs://out/run"),
            (("Post request fails", 64),),
            ("64 rows: 0 done, 64 failed, 0 never attempted.", 'All 64 failed rows give the same answer: "Post request fails"', "Output: gs://out/run"),
        ),
        (
            RowCounts(900, 400, -1, "gs://out", is_asked_for=True),
            (("busy", 12), ("busy 2", 8)),
            (
                "900 done, 400 failed, how many were never attempted is not known.",
                '12 failed: "busy"',
                '8 failed: "busy 2"',
                "Only 20 of the 400 failed rows were read.",
                "Output: below gs://out, which the job asked for; Vertex names no folder of its own.",
            ),
        ),
        (
            RowCounts(900, 400, 0),
            (("busy", 20),),
            (
                "1,300 rows: 900 done, 400 failed, 0 never attempted.",
                'All failed rows that were read (20 of 400) give the same answer: "busy"',
                "Where the output lies, the job does not say.",
            ),
        ),
        (RowCounts(-1, 0, -1, "bq://p.d"), (), ("Vertex counted no rows.", "Output: bq://p.d")),
        (None, (), ()),
    ],
    ids=["all-alike", "a-sample", "a-sample-alike", "not-counted", "no-batch"],
)  # fmt: skip
def test_rows_are_told_as_far_as_anybody_counted_them(
    rows: RowCounts | None, errors: tuple[tuple[str, int], ...], lines: tuple[str, ...]
) -> None:
    partly = SITUATIONS["alert-partial"]
    assert partly.diagnosis is not None
    facts = replace(partly, rows=rows, diagnosis=replace(partly.diagnosis, row_errors=errors))
    assert dict(compose(facts).answers).get("Rows of the batch", ()) == lines


def test_a_worst_case_far_above_the_estimate_says_why() -> None:
    unbound = replace(PLAN, worst_case_usd=146.83, worst_case_basis=_UNBOUND)
    told = dict(compose(replace(FACTS, plan=unbound)).answers)["What it may cost"]
    assert told[0] == (
        "About $3.04 for this attempt. At most $146.83: it has no time-out of its own, and Vertex ends "
        "it after 168 h."
    )
    near = replace(FACTS, plan=replace(PLAN, worst_case_usd=5.0))
    assert dict(compose(near).answers)["What it may cost"][0].endswith("$5.00 at most.")


def test_each_guard_says_its_own_reason_whatever_else_the_plan_notes() -> None:
    why = GuardRefusal(Guard.LOCATIONS, "only us-central1 is allowed")
    plan = replace(
        PLAN,
        action=Action.ALERT,
        refused_by=(Guard.STOP_SWITCH, Guard.LOCATIONS),
        refusals=(why,),
        notes=("whose it is is not known",),
    )
    lines = what_was_done(replace(FACTS, kind=AlertKind.ALERT, created="", plan=plan)).splitlines()
    assert lines == [
        "Nothing.",
        "Refused by stop_switch: the stop switch is on.",
        "Refused by locations: Only us-central1 is allowed.",
        "Whose it is is not known.",
    ]
