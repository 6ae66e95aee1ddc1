"""How an incident ends without a change, and how a chain does: what is stored, told and spent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import Attempt, Cause, Guard, JobState, PermissionDenied
from remediator.job import Job
from remediator.ledger import Chain, Conclusion, Incident, Stage
from remediator.workflow.conclusions import (
    ALERTED,
    GIVEN_UP,
    RECOVERED,
    alert_missing_permission,
    close_chain,
    close_incident,
    conclude_with_alert,
    policy_of,
    settle_attempt,
)
from remediator.workflow.resubmit import resubmit
from tests.jobs import CUSTOM
from tests.workflow.workbench import CALL_SECONDS, NOW, OWN_ACCOUNT, POLICIES, Bench

_TWO_CHANNELS = POLICIES.replace(
    'ml: {slack: {webhook: "env:W"}}',
    'ml: {slack: {webhook: "env:W"}}\n  night: {slack: {webhook: "env:N"}}',
).replace(
    "alert: [ml]\n",
    "alert: [ml]\n  - name: other\n    when: {}\n    do: []\n    alert: [night]\n",
)


def _stored(bench: Bench, job: Job) -> Incident:
    incident = bench.ledger.incident(job.name.key)
    assert incident is not None
    return incident


# --- told ---------------------------------------------------------------------------------------------


def test_a_conclusion_and_its_alert_are_stored_together_and_sent(bench: Bench, job: Job) -> None:
    context = bench.context(job, Cause.USER_CODE_ERROR)
    said = conclude_with_alert(context, bench.services.config, bench.services.records, NOW, ALERTED)
    assert said == "alerted: user_code_error"
    stored = _stored(bench, job)
    assert (stored.stage, stored.conclusion) == (Stage.DONE, Conclusion.ALERTED)
    assert (stored.verdict, stored.policy) == ("user_code_error", "grow")
    assert bench.enqueued() == {f"{job.name.key}|alert|0|ml": "2026-11-23T19:07:00Z"}
    assert [one.kind for one in bench.channel.messages] == ["alert"]
    (outcome,) = bench.outcomes
    assert (outcome["final"], outcome["verdict"]) == (True, "user_code_error")
    assert (outcome["action"], outcome["attempt"], outcome["previous"]) == ("alert", 0, None)
    assert outcome["current"] == outcome["root"] == str(job.name)


def test_what_another_hand_concluded_is_not_told_again(bench: Bench, job: Job) -> None:
    context = bench.context(job, Cause.USER_CODE_ERROR)
    assert bench.ledger.move(context.incident)
    said = conclude_with_alert(context, bench.services.config, bench.services.records, NOW, ALERTED)
    assert said == "already handled by another execution"
    assert not bench.enqueued()
    assert not bench.outcomes
    assert _stored(bench, job).stage is not Stage.DONE


_ACT_AS = "403 You do not have permission to act as service account: iam.serviceAccounts.actAs"


@pytest.mark.parametrize(
    ("because", "refused_by", "account", "named"),
    [
        (_ACT_AS, (), None, "trainer@genomics.iam.gserviceaccount.com"),
        (f"{_ACT_AS} (run@p.iam.gserviceaccount.com)", (), "", "run@p.iam.gserviceaccount.com"),
        (_ACT_AS, (), "", ""),
        (
            "another no",
            (Guard.SERVICE_ACCOUNT,),
            None,
            "trainer@genomics.iam.gserviceaccount.com",
        ),
        ("run@p.iam.gserviceaccount.com", (Guard.SERVICE_ACCOUNT,), "", ""),
        ("another no", (), None, ""),
        (_ACT_AS, (), "x; rm -rf@evil.gserviceaccount.com", ""),
        (_ACT_AS, (), "trainer@genomics.iam.gserviceaccount.com;ls", ""),
    ],
)
def test_the_grant_is_told_where_it_is_what_was_refused_and_safe_to_paste(
    bench: Bench,
    job: Job,
    because: str,
    refused_by: tuple[Guard, ...],
    account: str | None,
    named: str,
) -> None:
    if account is not None:
        job = bench.vertex.add(
            {**CUSTOM, "name": f"{job.name}1"}, jobSpec__serviceAccount=account or None
        )
    context = bench.context(job)
    plan = replace(context.plan, because=because, notes=(because,), refused_by=refused_by)
    denied = PermissionDenied(because)
    conclude_with_alert(
        replace(context, plan=plan, denied=denied),
        bench.services.config,
        bench.services.records,
        NOW,
        ALERTED,
    )
    told = str(bench.channel.messages[0].to_json())
    assert ("add-iam-policy-binding" in told) is bool(named)
    if named:
        command = (
            f"gcloud iam service-accounts add-iam-policy-binding {named} "
            f"--member=serviceAccount:{OWN_ACCOUNT} --role=roles/iam.serviceAccountUser"
        )
        assert command in told


def test_no_grant_is_told_for_what_the_plan_says_in_words_alone(bench: Bench, job: Job) -> None:
    context = bench.context(job)
    said = replace(context.plan, because=_ACT_AS, notes=(_ACT_AS,))
    config, records = bench.services.config, bench.services.records
    conclude_with_alert(replace(context, plan=said), config, records, NOW, ALERTED)
    assert "add-iam-policy-binding" not in str(bench.channel.messages[0].to_json())


@pytest.mark.parametrize("own", ["", "somebody@gmail.com"])
def test_no_grant_is_told_for_an_account_that_is_not_one(bench: Bench, job: Job, own: str) -> None:
    context = bench.context(job)
    refused = replace(context, denied=PermissionDenied(_ACT_AS))
    config = replace(bench.services.config, own_account=lambda: own)
    conclude_with_alert(refused, config, bench.services.records, NOW, ALERTED)
    assert "add-iam-policy-binding" not in str(bench.channel.messages[0].to_json())


def test_a_missing_permission_is_told_everywhere_once_a_day(job: Job) -> None:
    del job
    bench = Bench(_TWO_CHANNELS)
    said = "403 Permission 'aiplatform.customJobs.get' denied on projects/1/jobs/77"
    alert_missing_permission(
        PermissionDenied(said),
        bench.services.config,
        bench.services.records.outbox,
        bench.services.clock,
    )
    root = "permission/aiplatform.customJobs.get/2026-11-23"
    assert set(bench.enqueued()) == {f"{root}|no_permission|0|{name}" for name in ("ml", "night")}
    assert len(bench.channel.messages) == 2
    told = str(bench.channel.messages[0].to_json())
    assert "aiplatform.customJobs.get" in told
    assert "failures wait" in told
    alert_missing_permission(
        PermissionDenied(said.replace("77", "78")),
        bench.services.config,
        bench.services.records.outbox,
        bench.services.clock,
    )
    assert len(bench.channel.messages) == 2
    bench.time += timedelta(days=1)
    alert_missing_permission(
        PermissionDenied(said),
        bench.services.config,
        bench.services.records.outbox,
        bench.services.clock,
    )
    assert len(bench.channel.messages) == 4


def test_refusals_without_a_permissions_name_are_one_where_only_numbers_differ() -> None:
    bench = Bench()
    alert_missing_permission(
        PermissionDenied("403 access denied to  job 77"),
        bench.services.config,
        bench.services.records.outbox,
        bench.services.clock,
    )
    alert_missing_permission(
        PermissionDenied("403 access denied to job\n 78"),
        bench.services.config,
        bench.services.records.outbox,
        bench.services.clock,
    )
    assert len(bench.enqueued()) == 1
    alert_missing_permission(
        PermissionDenied("403 something else is denied"),
        bench.services.config,
        bench.services.records.outbox,
        bench.services.clock,
    )
    assert len(bench.enqueued()) == 2


def test_what_is_finished_says_why(bench: Bench, job: Job) -> None:
    incident = bench.incident(job)
    close_incident(incident, bench.services.records.ledger, Conclusion.IGNORED, "label_off")
    stored = _stored(bench, job)
    assert (stored.stage, stored.conclusion, stored.reason) == (
        Stage.DONE,
        Conclusion.IGNORED,
        "label_off",
    )
    assert not bench.enqueued()


# --- the end of an attempt ----------------------------------------------------------------------------


def _attempt(bench: Bench, job: Job, **changes: Any) -> tuple[Job, Incident]:
    """An attempt of ours that was made, and what Vertex says of it now."""
    resubmit(bench.context(job), bench.services)
    chain = bench.chain(job)
    name = Job.parse({"name": chain.attempts[-1].name}).name
    made = bench.vertex.get(name, timeout_seconds=CALL_SECONDS)
    now = {
        "state": "JOB_STATE_SUCCEEDED",
        "startTime": "2026-11-23T19:08:00Z",
        "endTime": "2026-11-23T20:08:00Z",
        **changes,
    }
    seen = bench.vertex.add(made.to_json(), **now)
    incident = bench.ledger.incident(seen.name.key)
    assert incident is not None
    bench.channel.messages.clear()
    bench.outcomes.clear()
    bench.time = NOW + timedelta(hours=1, minutes=2)
    return seen, incident


_HOUR_USD = 0.9008  # an hour of n1-standard-16 on Vertex in us-central1 with its boot disk


def _settled(bench: Bench, attempt: Job, chain: Chain, *, final: bool = False) -> Chain:
    services = bench.services
    return settle_attempt(
        attempt, chain, services.records.ledger, services.config.catalog, final=final
    )


def test_what_was_set_aside_becomes_what_was_spent(bench: Bench, job: Job) -> None:
    attempt, _ = _attempt(bench, job)
    before = bench.chain(job)
    assert before.reserved_usd > 0
    chain = _settled(bench, attempt, before)
    assert chain == bench.chain(job)
    assert chain.reserved_usd == 0.0
    assert chain.spent_usd == pytest.approx(_HOUR_USD, abs=0.01)
    assert bench.totals()["usd:2026-11-23"] == pytest.approx(chain.spent_usd)
    (noted,) = chain.attempts
    assert (noted.state, noted.end_time) == (JobState.SUCCEEDED, attempt.end_time)
    assert chain.final is False
    again = _settled(bench, attempt, chain, final=True)
    assert (again.spent_usd, again.final) == (chain.spent_usd, True)


def test_an_attempt_that_was_cancelled_before_it_ran_costs_nothing(bench: Bench, job: Job) -> None:
    attempt, _ = _attempt(bench, job, state="JOB_STATE_CANCELLED", startTime=None)
    chain = _settled(bench, attempt, bench.chain(job))
    assert (chain.spent_usd, chain.reserved_usd) == (0.0, 0.0)
    assert bench.totals()["usd:2026-11-23"] == 0.0


def test_an_attempt_that_was_cancelled_while_it_ran_costs_what_it_ran(
    bench: Bench, job: Job
) -> None:
    attempt, _ = _attempt(bench, job, state="JOB_STATE_CANCELLED")
    chain = _settled(bench, attempt, bench.chain(job))
    assert chain.spent_usd == pytest.approx(_HOUR_USD, abs=0.01)


@pytest.mark.parametrize(
    ("state", "kept"),
    [("JOB_STATE_SUCCEEDED", True), ("JOB_STATE_FAILED", True), ("JOB_STATE_CANCELLED", False)],
)
def test_how_attempts_end_is_remembered_unless_a_person_ended_them(
    bench: Bench, job: Job, state: str, kept: bool
) -> None:
    attempt, _ = _attempt(bench, job, state=state)
    settle_attempt(
        attempt,
        bench.chain(job),
        bench.services.records.ledger,
        bench.services.config.catalog,
        final=False,
    )
    assert bool(bench.documents("tracks")) is kept


def test_the_policy_of_an_attempt_is_found_by_its_name(job: Job) -> None:
    def made(name: str, policy: str) -> Attempt:
        return Attempt(
            name=name, state=JobState.FAILED, create_time=None, policy=policy, step=1, verdict="",
            changes=(),
        )  # fmt: skip

    chain = Chain("k", "r", attempts=(made("x", "first"), made(str(job.name), "second")))
    assert policy_of(chain, job) == "second"
    assert policy_of(Chain("k", "r"), job) == ""


# --- the end of a chain ---------------------------------------------------------------------------------


def test_a_recovery_closes_the_chain_and_is_told_with_what_it_cost(bench: Bench, job: Job) -> None:
    attempt, incident = _attempt(bench, job)
    said = close_chain(
        attempt, incident, bench.services.config, bench.services.records, bench.time, RECOVERED
    )
    assert said == "recovered: attempt 1 is SUCCEEDED"
    stored = _stored(bench, attempt)
    assert (stored.stage, stored.conclusion) == (Stage.DONE, Conclusion.RECOVERED)
    assert stored.ended == attempt.end_time
    chain = bench.chain(job)
    assert (chain.final, chain.reserved_usd) == (True, 0.0)
    (message,) = bench.channel.messages
    assert message.kind == "recovered"
    told = str(message.to_json())
    assert "gs://results/run" in told
    assert "succeeded, 1 h 08 min after the first failure" in told
    (outcome,) = bench.outcomes
    assert (outcome["final"], outcome["state"]) == (True, "JOB_STATE_SUCCEEDED")
    assert (outcome["verdict"], outcome["attempt"]) == ("cpu_saturation", 1)
    assert f"{job.name.key}|recovered|1|ml" in bench.enqueued()


def test_the_channels_of_the_policy_that_made_the_attempt_are_told() -> None:
    bench = Bench(_TWO_CHANNELS)
    job = bench.vertex.add(CUSTOM)
    attempt, incident = _attempt(bench, job)
    close_chain(
        attempt, incident, bench.services.config, bench.services.records, bench.time, RECOVERED
    )
    assert [one for one in bench.enqueued() if "recovered" in one] == [
        f"{job.name.key}|recovered|1|ml"
    ]


def test_a_chain_that_another_hand_closed_is_not_told_again(bench: Bench, job: Job) -> None:
    attempt, incident = _attempt(bench, job)
    assert bench.ledger.move(incident)
    close_chain(
        attempt, incident, bench.services.config, bench.services.records, bench.time, RECOVERED
    )
    assert not bench.channel.messages
    assert not bench.outcomes


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("JOB_STATE_CANCELLED", "it passed usd_per_job (100 USD)", True),
        ("JOB_STATE_CANCELLED", "", False),
        ("JOB_STATE_SUCCEEDED", "it passed usd_per_job (100 USD)", False),
    ],
)
def test_who_cancelled_an_attempt_is_told_where_it_was_us(
    bench: Bench, job: Job, state: str, reason: str, told: bool
) -> None:
    attempt, incident = _attempt(bench, job, state=state)
    close_chain(
        attempt,
        replace(incident, reason=reason),
        bench.services.config,
        bench.services.records,
        bench.time,
        GIVEN_UP,
    )
    (message,) = bench.channel.messages
    words = f"The remediator cancelled it: {reason}."
    assert (words in str(message.to_json())) is told
    assert _stored(bench, attempt).conclusion is Conclusion.GIVEN_UP
