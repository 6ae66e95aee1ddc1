"""Attempts of ours that run on: which are cancelled, what is written down first, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import JobName, Mode
from remediator.job import Job
from remediator.ledger import CancelReason, Conclusion, Incident, Stage
from remediator.workflow.resubmit import resubmit
from remediator.workflow.running_attempts import STUCK_AFTER, check_attempt, step_over
from remediator.workflow.services import Services
from tests.jobs import CUSTOM
from tests.workflow.workbench import CALL_SECONDS, NOW, POLICIES, Bench

CANCELS = POLICIES.replace("limits: {", "limits: {on_overrun: cancel, ")
_PENDING = {"state": "JOB_STATE_PENDING"}
_RUNNING = {"state": "JOB_STATE_RUNNING", "startTime": "2026-11-23T19:07:00Z"}


def _attempt(bench: Bench, **changes: Any) -> tuple[Job, Incident]:
    job = bench.vertex.add(CUSTOM)
    resubmit(bench.context(job), bench.services)
    name = JobName.parse(bench.chain(job).attempts[0].name)
    made = bench.vertex.get(name, timeout_seconds=CALL_SECONDS)
    seen = bench.vertex.add(made.to_json(), **changes)
    bench.channel.messages.clear()
    return seen, _stored(bench, seen)


def _stored(bench: Bench, job: Job) -> Incident:
    incident = bench.ledger.incident(job.name.key)
    assert incident is not None
    return incident


def _watch(
    bench: Bench, job: Job, incident: Incident, after: timedelta, services: Services | None = None
) -> Incident:
    bench.time = NOW + after
    used = services or bench.services
    return check_attempt(job, incident, used.config, used.vertex, used.records, bench.time)


# --- waiting for a machine in vain ----------------------------------------------------------------------


@pytest.mark.parametrize("state", ["JOB_STATE_PENDING", "JOB_STATE_QUEUED"])
def test_an_attempt_without_a_machine_is_cancelled_after_an_hour(state: str) -> None:
    bench = Bench()
    attempt, incident = _attempt(bench, state=state)
    nearly = _watch(bench, attempt, incident, STUCK_AFTER - timedelta(seconds=1))
    assert nearly == incident
    assert not bench.vertex.cancelled
    noted = _watch(bench, attempt, incident, STUCK_AFTER)
    ((name, written),) = bench.vertex.cancelled
    assert name == attempt.name
    assert written is not None
    assert (
        written.cancel_reason is CancelReason.NO_MACHINE
    )  # before the cancel: a crash between leaves no riddle
    assert noted == written
    assert not bench.channel.messages
    assert timedelta(hours=1) == STUCK_AFTER


def test_what_runs_or_waits_by_its_own_wish_is_not_stuck() -> None:
    for changes in (
        _RUNNING,
        {**_PENDING, "jobSpec__scheduling__strategy": "FLEX_START"},
        {**_PENDING, "createTime": None},
    ):
        bench = Bench()
        attempt, incident = _attempt(bench, **changes)
        assert _watch(bench, attempt, incident, STUCK_AFTER).reason == ""
        assert not bench.vertex.cancelled


def test_a_job_that_is_not_ours_is_never_cancelled() -> None:
    bench = Bench()
    job = bench.vertex.add(CUSTOM, **{**_PENDING, "createTime": "2026-11-20T00:00:00Z"})
    incident = bench.incident(job)
    assert (
        check_attempt(
            job, incident, bench.services.config, bench.services.vertex, bench.services.records, NOW
        )
        == incident
    )
    borrowed = replace(incident, attempt=1)  # a chain that knows nothing of it
    assert (
        check_attempt(
            job, borrowed, bench.services.config, bench.services.vertex, bench.services.records, NOW
        )
        == borrowed
    )
    attempt, made = _attempt(Bench(), **_PENDING)
    stray = replace(made, root="us-central1/customJobs/none")
    assert (
        check_attempt(
            attempt,
            stray,
            bench.services.config,
            bench.services.vertex,
            bench.services.records,
            NOW + timedelta(days=1),
        )
        == stray
    )
    assert not bench.vertex.cancelled


@pytest.mark.parametrize("held_by", ["observe", "max_mode", "setting", "switch", "cancelling"])
def test_nothing_is_cancelled_where_nothing_may_be_changed(held_by: str) -> None:
    bench = Bench()
    attempt, incident = _attempt(bench, **_PENDING)
    services = bench.services
    if held_by == "observe":
        bench.use(POLICIES.replace("mode: enforce", "mode: observe"))
    if held_by == "max_mode":
        services = bench.with_settings(max_mode=Mode.OBSERVE)
    if held_by == "setting":
        services = bench.with_settings(stop=True)
    if held_by == "switch":
        bench.ledger.switch_stop(on=True, by="me", now=NOW)
    if held_by == "cancelling":
        bench.use(CANCELS.replace("usd_per_job: 100", "usd_per_job: 0.01"))
        ran = {**_RUNNING, "state": "JOB_STATE_CANCELLING"}
        attempt = bench.vertex.add(attempt.to_json(), **ran)
    kept = _watch(bench, attempt, incident, timedelta(hours=2), services)
    assert kept == incident
    assert not bench.vertex.cancelled
    assert _stored(bench, attempt).reason == ""


def test_a_cancel_is_asked_for_again_without_writing_the_reason_twice() -> None:
    bench = Bench()
    attempt, incident = _attempt(bench, **_PENDING)
    noted = _watch(bench, attempt, incident, STUCK_AFTER)
    again = _watch(bench, attempt, noted, STUCK_AFTER + timedelta(minutes=5))
    assert again == noted
    assert len(bench.vertex.cancelled) == 2
    assert _stored(bench, attempt).version == noted.version


def test_what_another_hand_moved_on_is_not_cancelled_by_this_one() -> None:
    bench = Bench()
    attempt, incident = _attempt(bench, **_PENDING)
    assert bench.ledger.move(incident)
    assert _watch(bench, attempt, incident, STUCK_AFTER) == incident
    assert not bench.vertex.cancelled


def test_an_attempt_that_never_ran_costs_nothing_and_its_step_is_skipped() -> None:
    bench = Bench()
    attempt, incident = _attempt(bench, state="JOB_STATE_CANCELLED", endTime="2026-11-23T20:10:00Z")
    (chain,) = bench.ledger.chains()
    later = NOW + timedelta(hours=1)
    assert step_over(
        attempt, incident, bench.services.records.ledger, bench.services.config.catalog, later
    )
    (chain,) = bench.ledger.chains()
    assert (chain.spent_usd, chain.reserved_usd, chain.skipped) == (0.0, 0.0, ("grow:1",))
    assert [one.abandoned for one in chain.attempts] == [True]
    assert chain.final is False
    assert bench.totals()["usd:2026-11-23"] == 0.0
    assert _stored(bench, attempt).conclusion is Conclusion.IGNORED
    root = bench.ledger.incident(chain.key)
    assert root is not None
    assert (root.stage, root.conclusion, root.due) == (Stage.UNSETTLED, Conclusion.NONE, later)


def test_an_attempt_that_ran_is_not_stepped_over() -> None:
    bench = Bench()
    ran = {"state": "JOB_STATE_CANCELLED", "startTime": "2026-11-23T19:08:00Z"}
    attempt, incident = _attempt(bench, **ran)
    (before,) = bench.ledger.chains()
    assert not step_over(
        attempt, incident, bench.services.records.ledger, bench.services.config.catalog, NOW
    )
    assert bench.ledger.chains() == (before,)
    never = bench.vertex.add({**attempt.to_json(), "startTime": None})
    stray = replace(incident, root="us-central1/customJobs/none")
    assert not step_over(
        never, stray, bench.services.records.ledger, bench.services.config.catalog, NOW
    )
    other = bench.vertex.add({**CUSTOM, "name": f"{attempt.name}9", "startTime": None})
    assert not step_over(
        other, incident, bench.services.records.ledger, bench.services.config.catalog, NOW
    )
    assert bench.ledger.chains() == (before,)


# --- what costs too much -----------------------------------------------------------------------------------


def _hours_for(usd: float) -> timedelta:
    """How long the attempt runs until it has cost so much."""
    return timedelta(hours=usd / 0.9008)  # an hour of n1-standard-16, about


@pytest.mark.parametrize("on_overrun", ["alert", "cancel"])
def test_an_attempt_that_passes_its_jobs_budget_is_told_and_cancelled_where_that_is_asked(
    on_overrun: str,
) -> None:
    text = CANCELS if on_overrun == "cancel" else POLICIES
    bench = Bench(text.replace("usd_per_job: 100", "usd_per_job: 5"))
    attempt, incident = _attempt(bench, **_RUNNING)
    kept = _watch(bench, attempt, incident, _hours_for(4.5))
    assert kept == incident
    assert not bench.channel.messages
    assert not bench.vertex.cancelled
    seen = _watch(bench, attempt, incident, _hours_for(5.5))
    (message,) = bench.channel.messages
    assert message.kind == "overrun"
    told = str(message.to_json())
    cancels = on_overrun == "cancel"
    said = "It is being cancelled" if cancels else "Nothing was done, it still runs"
    assert f"{said}: it passed usd_per_job (5 USD)." in told
    assert [name for name, _ in bench.vertex.cancelled] == [attempt.name] * cancels
    assert seen.reason == ("it passed usd_per_job (5 USD)" if cancels else "")
    assert _stored(bench, attempt).reason == seen.reason
    _watch(bench, attempt, seen, _hours_for(5.6))
    assert len(bench.channel.messages) == 1  # one state is told once


def test_what_the_chain_has_spent_before_counts_too() -> None:
    bench = Bench(CANCELS.replace("usd_per_job: 100", "usd_per_job: 5"))
    attempt, incident = _attempt(bench, **_RUNNING)
    (chain,) = bench.ledger.chains()
    _spend(bench, chain.key, 4.0)
    _watch(bench, attempt, incident, _hours_for(0.5))
    assert not bench.vertex.cancelled
    _watch(bench, attempt, incident, _hours_for(1.5))
    assert len(bench.vertex.cancelled) == 1


def _spend(bench: Bench, key: str, usd: float) -> None:
    """An earlier attempt of the chain has cost this much."""
    at = key.replace("/", "|")
    body = {**(bench.store.get("chains", at) or {}), "spent_usd": usd}
    bench.store.run(lambda tx: tx.put("chains", at, body))


def _limited(bench: Bench, key: str, seconds: float) -> None:
    at = key.replace("/", "|")
    body: dict[str, Any] = {**(bench.store.get("chains", at) or {})}
    body["attempts"] = [{**one, "maxRunSeconds": seconds} for one in body["attempts"]]
    assert bench.ledger.chain(key) is not None
    bench.store.run(lambda tx: tx.put("chains", at, body))
    found = bench.ledger.chain(key)
    assert found is not None
    assert found.attempts[0].max_run_seconds == seconds


@pytest.mark.parametrize("on_overrun", ["alert", "cancel"])
def test_an_attempt_that_runs_longer_than_max_run_is_told(on_overrun: str) -> None:
    bench = Bench(CANCELS if on_overrun == "cancel" else POLICIES)
    attempt, incident = _attempt(bench, **_RUNNING)
    (chain,) = bench.ledger.chains()
    _limited(bench, chain.key, 5400.0)
    _watch(bench, attempt, incident, timedelta(seconds=5400))
    assert not bench.channel.messages
    _watch(bench, attempt, incident, timedelta(seconds=5401))
    (message,) = bench.channel.messages
    assert "it ran longer than max_run allows (1.5 h)." in str(message.to_json())
    assert len(bench.vertex.cancelled) == (on_overrun == "cancel")


def test_an_attempt_that_has_not_started_has_not_run() -> None:
    bench = Bench(CANCELS)
    attempt, incident = _attempt(bench, **_PENDING)
    (chain,) = bench.ledger.chains()
    _limited(bench, chain.key, 1.0)
    _watch(bench, attempt, incident, timedelta(minutes=30))
    assert not bench.vertex.cancelled


def test_the_policy_of_the_attempt_says_what_becomes_of_its_overrun() -> None:
    own = POLICIES.replace("    when: {}", "    when: {}\n    limits: {usd_per_job: 2}")
    bench = Bench(own)
    attempt, incident = _attempt(bench, **_RUNNING)
    _watch(bench, attempt, incident, _hours_for(2.5))
    assert "it passed usd_per_job (2 USD)." in str(bench.channel.messages[0].to_json())
