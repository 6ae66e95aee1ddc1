"""Which policy decides, which step is next, in which mode, for how much, and what is never run again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.domain import (
    NEVER_RETRIED,
    Action,
    Cause,
    History,
    InvalidInput,
    Mode,
    Needs,
)
from remediator.job import Job
from remediator.planning import plan
from tests.effort import calls_made
from tests.jobs import (
    BATCH,
    CUSTOM,
    TUNING,
    attempt,
    case,
    diagnosis,
    job,
    policies,
)
from tests.planning.planner_cases import BOOK, SAFE, SIZE, ladder, planned, resubmitted, told

# --- ladders ---------------------------------------------------------------------------------------


THREE = ladder(
    "{resubmit: {batch_size: halve}, times: 2}",
    "resubmit: {machine_type: bigger}",
    limits="{attempts: 9}",
)


@pytest.mark.parametrize(
    ("attempts", "step", "action"),
    [
        ([], 1, Action.RESUBMIT),
        ([("ladder", 1)], 1, Action.RESUBMIT),
        ([("ladder", 1), ("ladder", 1)], 2, Action.RESUBMIT),
        ([("ladder", 1), ("ladder", 1), ("ladder", 2)], 0, Action.ALERT),
        ([("other", 1), ("other", 1), ("other", 1)], 1, Action.RESUBMIT),
        ([("other", 1), ("ladder", 1)], 1, Action.RESUBMIT),
        # step 1 was passed over once, and step 2 taken: it is not gone back to
        ([("ladder", 1), ("ladder", 2)], 0, Action.ALERT),
    ],
)
def test_the_policys_own_resubmissions_decide_the_step(
    attempts: list[tuple[str, int]], step: int, action: Action
) -> None:
    made_before = tuple(attempt(name, n, number=i) for i, (name, n) in enumerate(attempts, 1))
    made = planned(job(BATCH), THREE, history=History(attempts=made_before))
    assert (made.step, made.action) == (step, action)


def test_past_the_last_step_there_is_an_alert() -> None:
    history = History(attempts=tuple(attempt("ladder", s, number=s) for s in (1, 1, 2)))
    made = planned(job(BATCH), THREE, history=history)
    assert (made.alerts, made.refused_by) == (("ml",), ())
    assert "every step of the policy is taken" in made.because


@pytest.mark.parametrize(("held", "becomes"), [(64, 32), (3, 1), (2, 1)])
def test_a_batch_is_halved_down_to_one(held: int, becomes: int) -> None:
    made = planned(job(BATCH, manualBatchTuningParameters={"batchSize": held}), THREE)
    assert told(made) == [(SIZE, held, becomes)]


def test_a_batch_of_one_takes_the_next_step() -> None:
    made = planned(job(BATCH, manualBatchTuningParameters={"batchSize": 1}), THREE)
    assert (made.step, told(made)[0][2]) == (2, "n1-standard-16")
    assert "step 1 is passed over: the batch size is 1 already" in made.because


def test_a_step_refused_for_want_of_quota_is_passed_over() -> None:
    made = planned(job(BATCH), THREE, passed_over=frozenset({1}))
    assert made.step == 2
    done = planned(job(BATCH), THREE, passed_over=frozenset({1, 2}))
    assert done.action is Action.ALERT


def test_a_raised_size_is_kept_by_every_later_attempt() -> None:
    """The latest attempt is what is cloned, so a retry after a preemption keeps its size."""
    first = resubmitted(CUSTOM, "{machine_type: bigger}")
    assert first.request is not None
    second = Job.parse({**CUSTOM, **first.request, "name": CUSTOM["name"] + "1"})
    history = History(attempts=(attempt("ladder", number=1),), root="77")
    made = planned(second, ladder("{resubmit: {wait: backoff}, times: 4}"), Cause.PREEMPTION,
                   history=history)  # fmt: skip
    assert made.changes == ()
    assert made.request is not None
    kept = Job(second.name, made.request)
    assert [pool.hardware.machine for pool in kept.pools] == ["n1-standard-16"]
    env = kept.read("jobSpec.workerPoolSpecs[0].containerSpec.env")
    assert [v["value"] for v in env if v["name"] == "REMEDIATOR_ATTEMPT"] == ["2"]


@pytest.mark.parametrize(
    ("retries", "minutes"), [(0, 10), (1, 20), (2, 40), (3, 80), (4, 160), (9, 360), (40, 360)]
)
def test_backoff_doubles_for_each_unchanged_retry_up_to_six_hours(
    retries: int, minutes: int
) -> None:
    before = tuple(attempt("other", changed=False, number=n) for n in range(1, retries + 1))
    made = planned(
        job(CUSTOM),
        ladder("{resubmit: {wait: backoff}, times: 99}", limits="{retries: 99}"),
        Cause.TRANSIENT_BACKEND,
        history=History(attempts=before),
    )
    now = datetime(2026, 11, 23, 19, 7, tzinfo=UTC)
    assert (made.action, made.not_before) == (Action.WAIT, now + timedelta(minutes=minutes))


def test_a_wait_that_is_over_is_a_resubmission() -> None:
    text = ladder("resubmit: {wait: 10m}")
    waiting = planned(job(CUSTOM), text)
    over = planned(job(CUSTOM), text, waited=True)
    assert (waiting.action, over.action) == (Action.WAIT, Action.RESUBMIT)
    assert (over.not_before, over.digest) == (None, waiting.digest)


# --- modes -----------------------------------------------------------------------------------------


BATCH_ONLY = "rerun_safe: [batch_prediction]"


@pytest.mark.parametrize(
    ("mode", "safe", "label", "ceiling", "expected"),
    [
        ("enforce", SAFE, {}, None, (Mode.ENFORCE, Action.RESUBMIT)),
        ("approve", SAFE, {}, None, (Mode.APPROVE, Action.APPROVE)),
        ("observe", SAFE, {}, None, (Mode.OBSERVE, Action.RESUBMIT)),
        ("enforce", BATCH_ONLY, {}, None, (Mode.APPROVE, Action.APPROVE)),
        ("enforce", BATCH_ONLY, {"remediator": "on"}, None, (Mode.ENFORCE, Action.RESUBMIT)),
        ("observe", BATCH_ONLY, {}, None, (Mode.OBSERVE, Action.APPROVE)),
        ("enforce", SAFE, {}, Mode.OBSERVE, (Mode.OBSERVE, Action.RESUBMIT)),
        ("enforce", SAFE, {}, Mode.APPROVE, (Mode.APPROVE, Action.APPROVE)),
        ("observe", SAFE, {}, Mode.ENFORCE, (Mode.OBSERVE, Action.RESUBMIT)),
    ],
)
def test_how_far_a_plan_may_go(
    mode: str,
    safe: str,
    label: dict[str, str],
    ceiling: Mode | None,
    expected: tuple[Mode, Action],
) -> None:
    made = planned(
        job(CUSTOM, labels=label),
        ladder("resubmit: {}", mode=mode, safe=safe),
        history=History(max_mode=ceiling),
    )
    assert (made.mode, made.action) == expected


# --- matching --------------------------------------------------------------------------------------


MATCHING = [
    ("{cause: cpu_saturation}", ""),
    ("{cause: [gpu_memory, quota]}", "the verdict cpu_saturation is not among gpu_memory, quota"),
    ("{cause: cpu_saturation, min_confidence: 0.95}", "confidence 0.90 is under 0.95"),
    ("{job: custom}", ""),
    ("{job: [pipeline, batch_prediction]}",
     "the job's kind is custom, not pipeline, batch_prediction"),
    ('{labels: {env: "pr*"}}', ""),
    ("{labels: {env: PROD}}", "the job's labels differ"),
    ("{labels: {team: x}}", "the job's labels differ"),
    ('{location: ["europe-*", "us-*"]}', ""),
    ('{location: "us-east*"}', "the job's location us-central1 does not fit us-east*"),
    ('{model: "*"}', ""),
    ('{model: "projects/*/models/x"}', "the job's model (none) does not fit projects/*/models/x"),
    ('{service_account: "*@genomics.iam.gserviceaccount.com"}', ""),
    ('{if: "job.machine.vcpus < 64 && job.run_seconds > 600.0"}', ""),
    ('{if: "job.machine.vcpus > 8"}', "`job.machine.vcpus > 8` does not hold"),
    ('{if: "job.batch_size > 1"}',
     "`job.batch_size > 1` does not hold: job.batch_size not known"),
    ('{if: "attempt.number == 0 && now.hour == 19 && now.weekday == 1"}', ""),
    ("{if: \"diagnosis.cause == 'cpu_saturation' && job.labels.env == 'prod'\"}", ""),
]  # fmt: skip


@pytest.mark.parametrize(("when", "why_not"), MATCHING, ids=[when for when, _ in MATCHING])
def test_a_policy_matches_or_says_why_not(when: str, why_not: str) -> None:
    text = f"""
mode: enforce
policies:
  - {{name: first, when: {when}, alert: [ml]}}
  - {{name: rest, alert: [ml]}}
"""
    made = planned(job(CUSTOM), text)
    assert made.policy == ("rest" if why_not else "first")
    line = f"first: does not match: {why_not}" if why_not else "first: matches"
    assert made.explanation[0] == line


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ("{}", True),
        ("{job: custom}", True),
        ("{cause: cpu_saturation}", False),
        ("{cause: unknown}", True),
        ("{cause: unknown, min_confidence: 0.2}", False),
        ("{min_confidence: 0.2}", False),
    ],
)
def test_an_unknown_verdict_fits_no_policy_that_needs_a_cause(when: str, matches: bool) -> None:
    text = f"mode: enforce\npolicies: [{{name: p, when: {when}, alert: [ml]}}]"
    made = planned(job(CUSTOM), text, Cause.UNKNOWN)
    assert bool(made.policy) is matches


def test_where_no_policy_matches_nobody_is_told() -> None:
    made = planned(job(BATCH), "policies: [{name: p, when: {job: custom}, alert: [ml]}]")
    assert (made.action, made.policy, made.alerts) == (Action.ALERT, "", ())
    assert "no policy matches" in made.because


def test_everything_is_explained_up_to_the_policy_that_decides() -> None:
    text = """
mode: enforce
rerun_safe: [custom]
limits: {attempts: 0}
policies:
  - {name: gpu, when: {cause: gpu_memory}, alert: [ml]}
  - {name: cpu, when: {cause: cpu_saturation}, do: [{resubmit: {machine_type: bigger}}]}
  - {name: rest, alert: [ml]}
"""
    assert planned(job(CUSTOM), text).explanation[:4] == (
        "gpu: does not match: the verdict cpu_saturation is not among gpu_memory",
        "cpu: matches",
        "step 1 is next: machine type n1-standard-8 becomes n1-standard-16",
        (
            "attempts refuses: 0 of 0 changed resubmissions are used up "
            "(limits.attempts, policies.yaml:6)"
        ),
    )


def test_matching_a_policy_more_costs_a_few_calls_more() -> None:
    document = job(CUSTOM)
    verdict = diagnosis(document, Cause.CPU_SATURATION)

    def calls_for(others: int) -> int:
        listed = "\n".join(
            f"  - {{name: p{n}, when: {{cause: cpu_saturation, labels: {{env: dev-{n}}}, "
            f'if: "job.run_seconds > {n}.0"}}, alert: [ml]}}'
            for n in range(others)
        )
        file = policies(f"policies:\n{listed}\n  - {{name: last, alert: [ml]}}")
        facts = case(document), verdict, file, History(), BOOK
        assert plan(*facts).policy == "last"  # conditions are compiled once
        return calls_made(lambda: plan(*facts))

    calls_for(10)  # what is loaded once is loaded
    few, many = calls_for(100), calls_for(500)
    assert (many - few) / 400 < 40


# --- jobs that are not run again -------------------------------------------------------------------


@pytest.mark.parametrize("state", ["JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED", "JOB_STATE_PAUSED"])
def test_a_job_that_has_not_failed_is_left_alone(state: str) -> None:
    made = planned(job(CUSTOM, state=state), ladder("resubmit: {}"))
    assert (made.action, made.alerts, made.request) == (Action.ALERT, (), None)


def test_a_success_with_failed_instances_is_told_and_not_run_again() -> None:
    done = job(BATCH, state="JOB_STATE_SUCCEEDED", completionStats={"failedCount": "3"})
    made = planned(done, ladder("resubmit: {}"), Cause.BAD_INPUT)
    assert (made.action, made.alerts, made.refused_by) == (Action.ALERT, ("ml",), ())
    assert "the job succeeded, but 3 instances failed" in made.because


@pytest.mark.parametrize("cause", [*sorted(NEVER_RETRIED), Cause.SLOW_CODE, Cause.NETWORK_LATENCY])
def test_what_no_resubmission_mends_says_what_a_retry_would_have_cost(cause: Cause) -> None:
    made = planned(job(CUSTOM), ladder(), cause)
    assert made.action is Action.ALERT
    assert "a retry would have cost about $0.46 for nothing" in made.because


def test_a_job_that_no_job_can_be_is_unusable() -> None:
    with pytest.raises(InvalidInput, match=r"`jobSpec` must be an object"):
        planned(job(CUSTOM).changed("jobSpec", "x"), ladder("resubmit: {}"))


# --- money -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "needs", "earlier", "estimated", "basis"),
    [
        ({}, Needs(), [], 0.90, "as long as the failed run, 1 h"),
        # half was done in an hour on half the vCPUs
        ({}, Needs(work_done=0.5), [], 0.90, "50% was done in 1 h, now 2 times as fast"),
        ({}, Needs(work_done=0.9), [], 0.50, "90% was done in 1 h, now 2 times as fast"),
        ({}, Needs(), ["2026-11-20T18:30:00Z"], 0.45,
         "as long as a similar job's last success, 30 min"),
        # never more than its own time-out
        ({"jobSpec__scheduling__timeout": "1800s"}, Needs(work_done=0.1), [], 0.45,
         "10% was done in 1 h, now 2 times as fast"),
    ],
)  # fmt: skip
def test_the_estimate_says_what_it_rests_on(
    held: dict[str, Any], needs: Needs, earlier: list[str], estimated: float, basis: str
) -> None:
    succeeded = [
        {
            **CUSTOM,
            "state": "JOB_STATE_SUCCEEDED",
            "startTime": "2026-11-20T18:00:00Z",
            "endTime": t,
        }
        for t in earlier
    ]
    made = planned(
        job(CUSTOM, **held),
        ladder("resubmit: {machine_type: bigger}"),
        needs=needs,
        earlierJobs=succeeded,
    )
    assert made.estimated_usd == pytest.approx(estimated, abs=0.01)
    assert basis in made.because


@pytest.mark.parametrize(
    ("held", "limits", "hours", "ours"),
    [
        ({}, "{}", 1, False),  # its own time-out
        ({}, "{max_run: 3x}", 1, False),  # which is never shortened, nor replaced
        ({"jobSpec__scheduling": None}, "{}", 168, False),  # Vertex's default: 7 days
        ({"jobSpec__scheduling": None}, "{max_run: 3x}", 72, True),
        ({"jobSpec__scheduling": None}, "{max_run: 100x}", 168, True),
        (
            {"jobSpec__scheduling": None, "startTime": "2026-11-21T19:00:00Z"},
            "{max_run: 2x}",
            96,
            True,
        ),
    ],
)
def test_the_worst_case_is_the_longest_it_may_run(
    held: dict[str, Any], limits: str, hours: float, ours: bool
) -> None:
    made = planned(job(CUSTOM, **held), ladder("resubmit: {}", limits=limits))
    assert made.worst_case_usd == pytest.approx(hours * 0.4638, rel=0.02)
    assert made.max_run_seconds == (hours * 3600 if ours else None)


def test_a_tuning_job_costs_at_most_what_its_remaining_trials_may() -> None:
    made = resubmitted(TUNING, "{}")
    # eight of ten trials are left, two side by side: four rounds of two hours
    assert made.worst_case_usd == pytest.approx(4 * 2 * 2 * (0.54421 + 0.0268), abs=0.01)


def test_a_run_of_unknown_length_is_no_run_of_no_minutes() -> None:
    made = planned(job(CUSTOM, startTime=None, createTime=None), ladder("resubmit: {}"))
    assert "how long it ran is not known, so a minute at the least" in made.because


@pytest.mark.parametrize("count", ["-1", "0"])
def test_instances_that_nobody_counted_are_no_basis(count: str) -> None:
    made = resubmitted(
        {**BATCH, "completionStats": {"incompleteCount": count}},
        "{batch_size: halve}",
        Cause.REQUEST_TOO_LARGE,
        needs=Needs(request_seconds=600),
    )
    assert "as long as the failed run, 1 h" in made.because


def test_batch_replicas_are_paid_for_with_their_start() -> None:
    made = resubmitted(BATCH, "{batch_size: halve}", Cause.REQUEST_TOO_LARGE)
    assert made.estimated_usd == pytest.approx(2 * 0.437 * (1 + 5 / 60), abs=0.01)


def test_twice_the_replicas_share_the_time() -> None:
    made = resubmitted(BATCH, "{replicas: double}")
    assert made.estimated_usd == pytest.approx(4 * 0.437 * (0.5 + 5 / 60), abs=0.01)


def test_spot_is_cheaper_where_its_price_is_known() -> None:
    made = resubmitted(CUSTOM, "{spot: true}")
    assert made.estimated_usd == pytest.approx(0.18465 + 0.0268, abs=0.01)


@pytest.mark.parametrize(
    "told",
    [
        {"startTime": None},
        {"error": {"code": 8, "message": "Resources are insufficient in region: us-central1."}},
    ],
)
def test_a_wait_for_a_machine_is_not_called_a_run(told: dict[str, Any]) -> None:
    held = job(CUSTOM, **told)
    made = planned(held, ladder("resubmit: {wait: 10m}"), Cause.CAPACITY_STOCKOUT)
    assert "it never got a machine, so how long it runs is not known" in made.because
    assert "as long as the failed run" not in made.because


def test_an_end_before_the_start_tells_no_length() -> None:
    held = job(CUSTOM, startTime="2026-11-23T16:00:00Z", endTime="2026-11-23T10:00:00Z")
    assert held.run_seconds is None
    made = planned(held, ladder("resubmit: {wait: 10m}"), Cause.TRANSIENT_BACKEND)
    assert "how long it ran is not known" in made.because
