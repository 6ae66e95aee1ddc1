"""Each guard refuses what it is named for, alone, and says so in words fit for an alert."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import (
    SILENT_GUARDS,
    Action,
    Cause,
    Evidence,
    Guard,
    History,
    Needs,
    OwnLimit,
    Plan,
    Source,
    VainAttempt,
    Wanted,
)
from remediator.planning import plan
from remediator.planning.guards import GUARDS
from tests.jobs import BATCH, CUSTOM, attempt, case, diagnosis, job, policies

BOOK = Catalog.built_in()
CALM = settings(deadline=None)  # two cores are shared: time is judged in one test of its own
POLICY = """
mode: enforce
rerun_safe: [batch_prediction, custom]
limits: {limits}
policies:
  - name: bigger
    when: {{cause: cpu_saturation}}
    do: [{{resubmit: {step}}}]
    alert: [ml]
  - name: rest
    when: {{}}
    do: [{{resubmit: {step}}}]
    alert: [ml]
"""
BIGGER = "{machine_type: bigger}"


def planned(
    *,
    limits: str = "{}",
    step: str = BIGGER,
    body: dict[str, Any] = CUSTOM,
    history: History | None = None,
    cause: Cause = Cause.CPU_SATURATION,
    needs: Needs | None = None,
    **changes: Any,
) -> Plan:
    found = job(body, **changes)
    return plan(
        case(found, buckets={"genomes": {"location": "US"}, "results": {"location": "US"}}),
        diagnosis(found, cause, needs=needs),
        policies(POLICY.format(limits=limits, step=step)),
        history or History(),
        BOOK,
    )


def test_without_a_reason_no_guard_refuses() -> None:
    made = planned(limits="{usd_per_job: 100, usd_per_day: 1000, resubmissions_per_hour: 5}")
    assert (made.action, made.refused_by) == (Action.RESUBMIT, ())


SAID = Evidence(Source.LOG, "line", "Unable to allocate 7.28 TiB")
MANY_LABELS = {f"l{n}": "x" for n in range(61)}
TWO = (attempt("other", number=1), attempt("other", number=2))
RETRIES = tuple(attempt("other", changed=False, number=n) for n in range(1, 4))

IN_VAIN = VainAttempt(
    root="projects/1/locations/us-central1/customJobs/70",
    display_name="align",
    number=1,
    at=datetime(2026, 11, 23, 2, tzinfo=UTC),
    verdict="cpu_saturation",
    ended_by="cpu_saturation",
    size={
        "location": "us-central1",
        "pools": [
            {"machineType": "n1-standard-16", "replicas": 1, "diskGb": 100}
            | {"topology": "", "partition": ""}
        ],
        "batchSize": None,
        "timeoutSeconds": 3600.0,
    },
    chain_usd=4.2,
    chain_attempts=3,
)
CASES: dict[str, tuple[Guard, dict[str, Any], str]] = {
    "attempts": (
        Guard.ATTEMPTS,
        {"limits": "{attempts: 2}", "history": History(attempts=TWO)},
        "2 of 2 changed resubmissions are used up (limits.attempts, policies.yaml:6)",
    ),
    "retries": (
        Guard.RETRIES,
        {"limits": "{retries: 3}", "step": "{}", "history": History(attempts=RETRIES)},
        "3 of 3 unchanged resubmissions are used up (limits.retries, policies.yaml:6)",
    ),
    "usd-per-job": (
        Guard.USD_PER_JOB,
        {"limits": "{usd_per_job: 10}", "history": History(usd_this_job=9.5)},
        "$9.50 spent for this job and $0.90 more would pass $10.00 (limits.usd_per_job, policies.yaml:6)",
    ),
    "usd-per-job-ceiling": (
        Guard.USD_PER_JOB,
        {"history": History(max_usd_per_job=0.5)},
        "$0.00 spent for this job and $0.90 more would pass $0.50 (REMEDIATOR_MAX_USD_PER_JOB)",
    ),
    "usd-per-day": (
        Guard.USD_PER_DAY,
        {"limits": "{usd_per_day: 20}", "history": History(usd_today=19.5)},
        "$19.50 spent today and $0.90 more would pass $20.00 (limits.usd_per_day, policies.yaml:6)",
    ),
    "usd-per-day-ceiling": (
        Guard.USD_PER_DAY,
        {"history": History(usd_today=5, max_usd_per_day=5)},
        "$5.00 spent today and $0.90 more would pass $5.00 (REMEDIATOR_MAX_USD_PER_DAY)",
    ),
    "usd-per-day-of-a-team": (
        Guard.USD_PER_DAY,
        {
            "limits": "{per: [{by: labels.env, usd_per_day: 3}]}",
            "history": History(spent_by={("labels.env", "prod"): 2.5, ("labels.env", "dev"): 0}),
        },
        "$2.50 spent today by labels.env prod and $0.90 more would pass $3.00 (limits.per, policies.yaml:6)",
    ),
    "rate": (
        Guard.RATE,
        {"limits": "{resubmissions_per_hour: 5}", "history": History(resubmissions_last_hour=5)},
        "5 resubmissions in the last hour, 5 are allowed (limits.resubmissions_per_hour, policies.yaml:6)",
    ),
    "rate-of-a-team": (
        Guard.RATE,
        {
            "limits": "{per: [{by: service_account, resubmissions_per_hour: 2}]}",
            "history": History(
                resubmitted_by={
                    ("service_account", "trainer@genomics.iam.gserviceaccount.com"): 2,
                    ("service_account", "other@genomics.iam.gserviceaccount.com"): 0,
                }
            ),
        },
        (
            "2 resubmissions of service account trainer@genomics.iam.gserviceaccount.com in the last "
            "hour, 2 are allowed (limits.per, policies.yaml:6)"
        ),
    ),
    "unknown-price": (
        Guard.UNKNOWN_PRICE,
        {
            "limits": "{usd_per_day: 1000}",
            "name": CUSTOM["name"].replace("us-central1", "europe-west9"),
        },
        "what the job would cost in europe-west9 is not known, and a limit in dollars is set",
    ),
    "unknown-price-of-a-batch": (
        Guard.UNKNOWN_PRICE,
        {
            "body": BATCH,
            "limits": "{usd_per_day: 1000}",
            "name": BATCH["name"].replace("us-central1", "europe-west9"),
        },
        "what the job would cost in europe-west9 is not known, and a limit in dollars is set",
    ),
    "unknown-price-of-a-batch-without-machines": (
        Guard.UNKNOWN_PRICE,
        {
            "body": BATCH,
            "limits": "{usd_per_day: 1000}",
            "step": "{wait: 10m}",
            "dedicatedResources": None,
        },
        (
            "the job has no machines of its own, so what it would cost is not known, and a limit "
            "in dollars is set"
        ),
    ),
    "machine-types": (
        Guard.MACHINE_TYPES,
        {"limits": "{machine_types: [n1-standard-8, e2-*]}"},
        (
            'n1-standard-16 is not among n1-standard-8, e2-*: add "n1-standard-16" to '
            "`limits.machine_types` (policies.yaml:6) to allow it"
        ),
    ),
    "accelerators": (
        Guard.ACCELERATORS,
        {
            "limits": "{accelerators: [NVIDIA_L4]}",
            "step": "{accelerator: {type: NVIDIA_TESLA_T4, count: 1}}",
        },
        (
            'NVIDIA_TESLA_T4 is not among NVIDIA_L4: add "NVIDIA_TESLA_T4" to '
            "`limits.accelerators` (policies.yaml:6) to allow it"
        ),
    ),
    "locations": (
        Guard.LOCATIONS,
        {
            "limits": '{locations: ["us-central*"]}',
            "step": "{location: us-east1}",
        },
        'us-east1 is not among us-central*: add "us-east1" to `limits.locations` (policies.yaml:6) to allow it',
    ),
    "incompatible": (
        Guard.INCOMPATIBLE,
        {"step": "{machine_type: c4-standard-8}"},
        "Vertex AI takes no c4-standard-8: Compute Engine alone has it",
    ),
    "incompatible-region": (
        Guard.INCOMPATIBLE,
        {
            "step": "{accelerator: {type: NVIDIA_L4, count: 1}}",
            "name": CUSTOM["name"].replace("us-central1", "asia-east1"),
        },
        "asia-east1 does not offer NVIDIA_L4 for training",
    ),
    "stop-switch": (
        Guard.STOP_SWITCH,
        {"history": History(stopped=True)},
        "the stop switch is on",
    ),
    "label-off": (
        Guard.LABEL_OFF,
        {"labels": {"remediator": "off"}},
        "its label remediator=off says never to touch it",
    ),
    "breaker": (
        Guard.BREAKER,
        {"history": History(breaker_open="6 of the last 10 attempts failed")},
        "6 of the last 10 attempts failed",
    ),
    "cancelled-by-person": (
        Guard.CANCELLED_BY_PERSON,
        {"state": "JOB_STATE_CANCELLED", "endTime": "2026-11-23T18:10:00Z", "error": None},
        "a person cancelled it",
    ),
    "lookback": (
        Guard.LOOKBACK,
        {"history": History(too_old=True)},
        "it had ended long before it became known",
    ),
    "already-rerun": (
        Guard.ALREADY_RERUN,
        {"history": History(rerun_by="projects/1/locations/us-central1/customJobs/5")},
        "projects/1/locations/us-central1/customJobs/5 runs the same work again already",
    ),
    "has-parent": (
        Guard.HAS_PARENT,
        {"labels": {"vertex-ai-pipelines-run-billing-id": "42"}},
        "it belongs to pipeline run 42, which is the incident",
    ),
    "has-parent-known": (
        Guard.HAS_PARENT,
        {"history": History(parent="training pipeline 9")},
        "it belongs to training pipeline 9, which is the incident",
    ),
    "service-account": (
        Guard.SERVICE_ACCOUNT,
        {"history": History(service_accounts=("*@ml.iam.gserviceaccount.com",))},
        "jobs of trainer@genomics.iam.gserviceaccount.com may not be resubmitted",
    ),
    "service-account-default": (
        Guard.SERVICE_ACCOUNT,
        {
            "history": History(service_accounts=("*@ml.iam.gserviceaccount.com",)),
            "jobSpec__serviceAccount": None,
        },
        "jobs of the default service account may not be resubmitted",
    ),
    "pinned": (
        Guard.PINNED,
        {"jobSpec__persistentResourceId": "pool-1"},
        "the job uses a persistent resource, which other machines would leave",
    ),
    "pinned-network": (
        Guard.PINNED,
        {"step": "{location: us-east1}", "jobSpec__network": "projects/1/global/networks/vpc"},
        "the job uses a peered network, which stays in us-central1",
    ),
    "rows": (
        Guard.ROWS,
        {"body": BATCH, "step": "{rows: remaining}"},
        (
            "step 1 is passed over: running only the rows that are left is not set up "
            "(REMEDIATOR_RESUME_BUCKET): by Vertex's count 10 of 100 rows would not have to run again"
        ),
    ),
    "labels-full": (
        Guard.LABELS_FULL,
        {"labels": MANY_LABELS},
        "the job has 61 labels: there is no room for 4 of ours",
    ),
    "tried-in-vain": (
        Guard.TRIED_IN_VAIN,
        {"history": History(vain=(IN_VAIN,))},
        (
            "n1-standard-16 did not help align, the same work, which was given up after 2026-11-23 "
            "02:00 UTC; its 3 attempts cost $4.20. It is tried again once its image, arguments or input "
            "change, or the label remediator=on is put on it, else after 2026-12-07 02:00 UTC"
        ),
    ),
    "no-machine": (
        Guard.NO_MACHINE,
        {
            "cause": Cause.MEMORY_PRESSURE,
            "step": "{}",
            "needs": Needs(wanted=Wanted(7.28 * 1024**4, False, SAID)),
        },
        "7455 GiB were wanted in one piece, and it would have 30 (Unable to allocate 7.28 TiB)",
    ),
    "no-machine-but-its-own-limit": (
        Guard.NO_MACHINE,
        {
            "cause": Cause.MEMORY_PRESSURE,
            "step": "{machine_type: n1-highmem-8}",
            "needs": Needs(own_limit=OwnLimit("-Xmx", 4.0 * 1024**3, True, SAID)),
        },
        (
            "-Xmx of 4 GiB is the program's own limit, which no machine changes (Unable to allocate "
            "7.28 TiB)"
        ),
    ),
    "no-device": (
        Guard.NO_MACHINE,
        {
            "cause": Cause.GPU_MEMORY,
            "step": "{accelerator: {type: NVIDIA_TESLA_T4, count: 1}}",
            "needs": Needs(wanted=Wanted(90.0 * 1024**3, True, SAID)),
        },
        "90 GiB were wanted in one piece, and it would have 16 (Unable to allocate 7.28 TiB)",
    ),
    **{
        f"cause-{cause.value}": (Guard.CAUSE, {"cause": cause}, f"{words}, for about $0.90")
        for cause, words in {
            Cause.USER_CODE_ERROR: "the job's own code raised an error: running it again would "
            "fail the same way",
            Cause.BAD_INPUT: "the input cannot be read, cannot be parsed or is not there: running it again would "
            "fail the same way",
            Cause.PERMISSION: "an account lacks a permission: running it again would fail "
            "the same way",
            Cause.INVALID_CONFIG: "the job could never run as it is configured: running it again "
            "would fail the same way",
        }.items()
    },
}


@pytest.mark.parametrize(("guard", "setting", "words"), CASES.values(), ids=CASES)
def test_a_guard_refuses_alone_and_says_why(
    guard: Guard, setting: dict[str, Any], words: str
) -> None:
    made = planned(**setting)
    assert (made.action, made.refused_by) == (Action.ALERT, (guard,))
    assert f"nothing is resubmitted ({guard.value}: {words})" in made.because
    assert (made.request, made.not_before) == (None, None)
    assert made.alerts == (() if guard in SILENT_GUARDS else ("ml",))
    assert f"{guard.value} refuses: {words}" in made.explanation


def test_a_policys_own_limit_is_named_by_its_own_line() -> None:
    text = """
mode: enforce
rerun_safe: [custom]
limits: {machine_types: ["n1-*"], attempts: 2}
policies:
  - name: bigger
    do: [{resubmit: {machine_type: bigger}}]
    limits: {machine_types: [n1-standard-8]}
"""
    found = job(CUSTOM)
    history = History(attempts=TWO)
    made = plan(case(found), diagnosis(found, Cause.CPU_SATURATION), policies(text), history, BOOK)
    assert made.refused_by == (Guard.ATTEMPTS, Guard.MACHINE_TYPES)
    assert "(limits.attempts, policies.yaml:6)" in made.because
    assert "`limits.machine_types` (policies.yaml:10)" in made.because


def test_explain_walks_every_guard_with_its_numbers() -> None:
    limits = "{usd_per_job: 100, resubmissions_per_hour: 5, machine_types: ['n1-*'], retries: 2}"
    history = History(attempts=TWO[:1], usd_this_job=9.5, resubmissions_last_hour=2)
    told = planned(limits=limits, history=history).explanation
    walked = [line for line in told if " passes: " in line or " refuses: " in line]
    assert [line.partition(" ")[0] for line in walked] == [
        guard.value for guard in Guard if guard not in {Guard.ROWS, Guard.NO_MACHINE}
    ]
    for line in (
        "attempts passes: 1 of 3 are used (limits.attempts, the default)",
        "retries passes: 0 of 2 are used (limits.retries, policies.yaml:6)",
        (
            "usd_per_job passes: $9.50 spent for this job and $0.90 more, of $100.00 "
            "(limits.usd_per_job, policies.yaml:6)"
        ),
        "usd_per_day passes: no limit is set; $0.00 spent today, $0.90 more",
        "rate passes: 2 of 5 in the last hour (limits.resubmissions_per_hour, policies.yaml:6)",
        "unknown_price passes: $0.9008 an hour",
        "machine_types passes: n1-standard-16, of n1-* (limits.machine_types, policies.yaml:6)",
        "accelerators passes: none; no list is set",
        "stop_switch passes: off",
        "tried_in_vain passes: no run of the same work tried as much in vain in the last 14 days",
        "mode enforce: the file says enforce",
    ):
        assert line in told


def test_explain_says_that_a_job_asks_for_no_accelerator() -> None:
    told = planned(limits="{accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4]}").explanation
    assert (
        "accelerators passes: none is asked for; allowed are NVIDIA_TESLA_T4, NVIDIA_L4 "
        "(limits.accelerators, policies.yaml:6)"
    ) in told


def test_explain_says_of_no_guard_that_it_passes_where_only_a_ledger_would_know() -> None:
    limits = "{usd_per_day: 100, resubmissions_per_hour: 5}"
    told = planned(limits=limits, history=History(ledger_read=False)).explanation
    for line in (
        "attempts not looked up here: at most 3 (limits.attempts, the default)",
        "usd_per_job not looked up here: $0.90 more, no limit is set",
        (
            "usd_per_day not looked up here: $0.90 more, of $100.00 "
            "(limits.usd_per_day, policies.yaml:6)"
        ),
        (
            "rate not looked up here: at most 5 in an hour "
            "(limits.resubmissions_per_hour, policies.yaml:6)"
        ),
        "stop_switch not looked up here",
        "already_rerun not looked up here",
        "tried_in_vain not looked up here",
    ):
        assert line in told
    assert told[-1].startswith("not looked up here: the ledger ")
    assert "incompatible passes: Vertex takes the combination" in told
    carried = History(attempts=TWO[:1], usd_this_job=9.5, ledger_read=False)
    assert "attempts passes: 1 of 3 are used (limits.attempts, the default)" in (
        planned(history=carried).explanation
    )


@pytest.mark.parametrize(("does", "ends"), [("alert", "only alerts"), ("cancel", "cancels it")])
def test_explain_says_that_the_estimate_counts_where_the_worst_case_passes_the_limit(
    does: str, ends: str
) -> None:
    long = {"jobSpec__scheduling__timeout": "36000s"}
    told = planned(limits=f"{{usd_per_job: 1, on_overrun: {does}}}", **long).explanation
    [line] = [line for line in told if line.startswith("usd_per_job passes: ")]
    assert "$0.90 more, of $1.00 (limits.usd_per_job, policies.yaml:6); the estimate is" in line
    assert line.endswith(f"`on_overrun: {does}` {ends}")
    roomy = planned(limits="{usd_per_job: 999}", **long).explanation
    assert not any("on_overrun" in one for one in roomy)


def test_explain_says_in_observe_too_why_a_person_would_be_asked() -> None:
    text = "mode: observe\npolicies: [{name: one, do: [{resubmit: {}}]}]"
    found = job(CUSTOM)
    made = plan(case(found), diagnosis(found, Cause.QUOTA), policies(text), History(), BOOK)
    assert made.explanation[-1].startswith(
        "a person would be asked if it acted, since `custom` is not in `rerun_safe`: with "
    )
    assert made.approval_reasons == ()


def test_explain_says_why_a_person_is_asked_and_what_would_make_that_needless() -> None:
    text = "mode: enforce\npolicies: [{name: one, mode: approve, do: [{resubmit: {}}]}]"
    found = job(CUSTOM)
    made = plan(case(found), diagnosis(found, Cause.QUOTA), policies(text), History(), BOOK)
    assert made.action is Action.APPROVE
    assert made.explanation[-3:] == (
        "mode approve: the file says enforce, the policy approve",
        (
            "a person is asked, since `custom` is not in `rerun_safe`: with `rerun_safe: "
            "[batch_prediction, custom]` in the policy file, or the label remediator=on on the job, "
            "nobody need be asked"
        ),
        "a person is asked, since the policy one says `mode: approve`; `enforce` asks nobody",
    )


def test_every_guard_of_the_contract_is_asked_and_has_a_case() -> None:
    assert set(GUARDS) == set(Guard)
    assert {guard for guard, _, _ in CASES.values()} == set(Guard)


def test_all_guards_that_refuse_are_named_in_order() -> None:
    history = History(stopped=True, too_old=True, usd_today=2000)
    made = planned(limits="{usd_per_day: 1000}", history=history)
    assert made.refused_by == (Guard.USD_PER_DAY, Guard.STOP_SWITCH, Guard.LOOKBACK)
    assert made.alerts == ()


@pytest.mark.parametrize("guard", sorted(SILENT_GUARDS))
def test_a_silent_guard_keeps_a_plan_silent_that_would_only_alert(guard: Guard) -> None:
    setting = next(setting for name, setting, _ in CASES.values() if name is guard)
    text = "mode: enforce\npolicies: [{name: tell, alert: [ml]}]"
    found = job(CUSTOM, **{k: v for k, v in setting.items() if k != "history"})
    history = setting.get("history", History())
    made = plan(case(found), diagnosis(found, Cause.SLOW_CODE), policies(text), history, BOOK)
    assert (made.action, made.refused_by, made.alerts) == (Action.ALERT, (guard,), ())


# --- where the line is ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "step", "history", "allowed"),
    [
        ("{attempts: 2}", BIGGER, History(attempts=TWO[:1]), True),
        ("{attempts: 2, retries: 3}", BIGGER, History(attempts=RETRIES), True),
        ("{attempts: 2, retries: 3}", "{}", History(attempts=TWO), True),
        ("{attempts: 0}", BIGGER, History(), False),
        ("{attempts: 0}", "{}", History(), True),
        ("{usd_per_job: 0.90}", BIGGER, History(), True),
        ("{usd_per_job: 0.89}", BIGGER, History(), False),
        ("{usd_per_day: 10}", BIGGER, History(usd_today=9.10), True),
        ("{usd_per_day: 10}", BIGGER, History(usd_today=9.11), False),
        ("{resubmissions_per_hour: 5}", BIGGER, History(resubmissions_last_hour=4), True),
        ("{machine_types: [n1-standard-16]}", BIGGER, History(), True),
        ("{machine_types: [n1-standard-16]}", "{}", History(), False),
        ("{accelerators: [NVIDIA_L4]}", BIGGER, History(), True),
        ('{locations: ["us-*"]}', BIGGER, History(), True),
        ("{}", BIGGER, History(service_accounts=("trainer@*",)), True),
    ],
)
def test_a_limit_holds_exactly(limits: str, step: str, history: History, allowed: bool) -> None:
    made = planned(limits=limits, step=step, history=history)
    assert (made.action is Action.RESUBMIT) is allowed


def test_an_unknown_price_refuses_only_where_a_money_limit_applies() -> None:
    elsewhere = CUSTOM["name"].replace("us-central1", "europe-west9")
    made = planned(name=elsewhere)
    assert (made.action, made.estimated_usd) == (Action.RESUBMIT, None)
    assert "what it costs in europe-west9 is not known" in made.because
    refused = planned(name=elsewhere, history=History(max_usd_per_day=5))
    assert refused.refused_by == (Guard.UNKNOWN_PRICE,)


@pytest.mark.parametrize(
    ("step", "body"),
    [
        ("{}", CUSTOM),
        ("{wait: 10m}", CUSTOM),
        ("{batch_size: halve}", BATCH),
        ("{machine_type: n1-standard-4}", CUSTOM),
        ("{machine_type: n1-standard-4, timeout: 30m}", CUSTOM),
        ("{strategy: SPOT}", CUSTOM),
    ],
)
def test_what_cannot_cost_more_is_never_refused_for_a_price(
    step: str, body: dict[str, Any]
) -> None:
    """It is booked at nothing, and said."""
    elsewhere = body["name"].replace("us-central1", "mars-north1")
    made = planned(limits="{usd_per_job: 1}", step=step, body=body, name=elsewhere)
    assert (made.refused_by, made.estimated_usd) == ((), 0.0)
    assert "it cannot cost more than the failed run: booked at 0" in made.because


@pytest.mark.parametrize(
    ("step", "body", "held"),
    [
        ("{machine_type: bigger}", CUSTOM, {}),
        ("{timeout: 2h}", CUSTOM, {}),
        ("{disk: double}", CUSTOM, {}),
        ("{replicas: double}", BATCH, {}),
        ("{strategy: STANDARD}", CUSTOM, {"jobSpec__scheduling__strategy": "SPOT"}),
        ("{machine_type: e2-standard-8}", CUSTOM, {}),  # another generation has other rates
        ("{}", BATCH, {"dedicatedResources": None}),  # billed by something else
    ],
)
def test_what_may_cost_more_is_refused_where_its_price_is_unknown(
    step: str, body: dict[str, Any], held: dict[str, Any]
) -> None:
    elsewhere = body["name"].replace("us-central1", "mars-north1")
    made = planned(limits="{usd_per_job: 1}", step=step, body=body, name=elsewhere, **held)
    assert Guard.UNKNOWN_PRICE in made.refused_by


def test_an_unknown_rate_is_bounded_by_the_on_demand_price_and_said() -> None:
    elsewhere = CUSTOM["name"].replace("us-central1", "us-east1")
    made = planned(step="{strategy: SPOT}", name=elsewhere)
    assert made.estimated_usd == 0.46  # as on demand, with its boot disk
    assert "at most $0.46" in made.because
    assert "bounded by the on-demand price: not all of its rates are known" in made.because


def test_default_stands_for_jobs_that_name_no_account_and_for_no_other() -> None:
    """Acting as nobody needs no grant, so a deployment may allow those beside the named ones."""
    allowed = History(service_accounts=("default", "scorer@*"))
    assert planned(history=allowed, jobSpec__serviceAccount=None).action is Action.RESUBMIT
    refused = planned(history=allowed)
    assert refused.refused_by == (Guard.SERVICE_ACCOUNT,)


def test_sixty_labels_leave_room_for_ours() -> None:
    labels = dict(list(MANY_LABELS.items())[:60])
    assert planned(labels=labels).action is Action.RESUBMIT
    ours = labels | {"remediator-root": "1", "remediator-claim": "c"}
    assert planned(labels=ours).action is Action.RESUBMIT


def test_a_policys_own_limits_bind_too() -> None:
    text = """
mode: enforce
rerun_safe: [custom]
limits: {attempts: 5}
policies:
  - {name: bigger, do: [{resubmit: {machine_type: bigger}, times: 5}], limits: {attempts: 1}}
"""
    found = job(CUSTOM)
    history = History(attempts=TWO[:1])
    made = plan(case(found), diagnosis(found, Cause.CPU_SATURATION), policies(text), history, BOOK)
    assert made.refused_by == (Guard.ATTEMPTS,)


# --- properties -----------------------------------------------------------------------------------

histories = st.builds(
    History,
    attempts=st.lists(st.sampled_from([*TWO, *RETRIES]), max_size=4).map(tuple),
    usd_this_job=st.floats(0, 200),
    usd_today=st.floats(0, 2000),
    resubmissions_last_hour=st.integers(0, 8),
    stopped=st.booleans(),
    too_old=st.booleans(),
    rerun_by=st.sampled_from(["", "", "a job"]),
    parent=st.sampled_from(["", "", "a run"]),
    breaker_open=st.sampled_from(["", "", "open"]),
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "attempts": st.integers(0, 4),
        "retries": st.integers(0, 4),
        "usd_per_job": st.integers(0, 200),
        "usd_per_day": st.integers(0, 2000),
        "resubmissions_per_hour": st.integers(0, 8),
    },
)


@CALM
@given(histories, limits, st.sampled_from([BIGGER, "{}", "{timeout: double}"]), st.booleans())
def test_no_plan_that_acts_breaks_a_limit(
    history: History, limit: dict[str, int], step: str, batch: bool
) -> None:
    step = "{batch_size: halve}" if batch and step == "{timeout: double}" else step
    written = ", ".join(f"{key}: {value}" for key, value in limit.items())
    made = planned(
        limits=f"{{{written}}}", step=step, history=history, body=BATCH if batch else CUSTOM
    )
    if made.action is Action.ALERT:
        assert made.refused_by
        return
    changed = sum(not one.is_retry for one in history.attempts)
    used = {
        "attempts": changed + bool(made.changes),
        "retries": len(history.attempts) - changed + (not made.changes),
        "usd_per_job": history.usd_this_job + (made.estimated_usd or 0),
        "usd_per_day": history.usd_today + (made.estimated_usd or 0),
        "resubmissions_per_hour": history.resubmissions_last_hour + 1,
    }
    kind = "attempts" if made.changes else "retries"
    for name, most in {"attempts": 3, "retries": 5, **limit}.items():
        if name in {"attempts", "retries"} and name != kind:
            continue
        assert used[name] <= most + 0.01
    assert not any(
        (history.stopped, history.too_old, history.rerun_by, history.parent, history.breaker_open)
    )
    quiet = replace(history, stopped=True)
    assert planned(limits=f"{{{written}}}", step=step, history=quiet).refused_by
