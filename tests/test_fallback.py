"""`fallback`: ways tried in turn, each checked first; and what a quota can never hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog, Hardware, Service
from remediator.diagnosis import diagnose
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Guard,
    History,
    JobName,
    JobState,
    Plan,
)
from remediator.job import Job
from remediator.job.quota import read_quotas, vertex_metrics
from remediator.planning import costs, plan, regions
from remediator.policy import load
from tests.jobs import BATCH, CUSTOM, case, diagnosis, job, policies

BOOK = Catalog.built_in()
L4, T4, A100 = "NVIDIA_L4", "NVIDIA_TESLA_T4", "NVIDIA_TESLA_A100"
MACHINE = "jobSpec.workerPoolSpecs[0].machineSpec"
EVERYWHERE = {"genomes": {"location": "US"}, "results": {"location": "US"}}
STOCKOUT = {
    "code": 8,
    "message": "Resources are insufficient in region: us-central1. Try a different region or use a "
    "different accelerator.",
}
OF_SOME_QUOTA = {"code": 8, "message": "A quota is exceeded."}
WAYS = (
    "[{location: us-west1}, {machine_type: a2-highgpu-1g, accelerator: {type: NVIDIA_TESLA_A100, "
    "count: 1}}, {strategy: FLEX_START, max_wait: 4h}, {spot: false}]"
)


def on_l4(**changes: Any) -> Job:
    spec = {"machineType": "g2-standard-12", "acceleratorType": L4, "acceleratorCount": 1}
    return job(CUSTOM, error=STOCKOUT, jobSpec__workerPoolSpecs=[pool(spec)], **changes)


def pool(spec: dict[str, Any]) -> dict[str, Any]:
    (held,) = CUSTOM["jobSpec"]["workerPoolSpecs"]
    return {**held, "machineSpec": spec}


def text(
    ways: str = WAYS, limits: str = "{}", more: str = "", cause: str = "capacity_stockout"
) -> str:
    return (
        "mode: enforce\nrerun_safe: [batch_prediction, custom]\n"
        f"limits: {limits}\npolicies:\n  - name: no-capacity\n    when: {{cause: {cause}}}\n"
        f"    alert: [ml]\n    do:\n      - resubmit: {{fallback: {ways}}}\n{more}"
    )


def planned(
    document: Job,
    file: str,
    *made: Attempt,
    cause: Cause = Cause.CAPACITY_STOCKOUT,
    buckets: dict[str, Any] = EVERYWHERE,
    **more: Any,
) -> Plan:
    return plan(
        case(document, buckets=buckets),
        diagnosis(document, cause),
        policies(file),
        History(attempts=made),
        BOOK,
        **more,
    )


def told(done: Plan) -> list[tuple[str, Any, Any]]:
    return [
        (change.field.rpartition(".")[2], change.before, change.after) for change in done.changes
    ]


def test_another_services_quota_is_waited_for_on_the_hardware_that_the_job_had() -> None:
    file = text(
        "[{accelerator: more_memory}]", more="      - resubmit: {wait: backoff}\n", cause="quota"
    )
    exited = {"code": 3, "message": "The replica workerpool0-0 exited with a non-zero status of 1."}
    document = on_l4().changed("error", exited)
    ran = planned(document, file, cause=Cause.QUOTA)
    assert (ran.action, ran.changes) == (Action.WAIT, ())
    assert "no quota of machines" in ran.because
    refused = planned(document.changed("error", OF_SOME_QUOTA), file, cause=Cause.QUOTA)
    assert refused.action is Action.RESUBMIT
    assert refused.changes


class Chain:
    """A job, and the attempts that a policy file makes of it, each of which finds no machine."""

    def __init__(
        self, document: Job, file: str, *, tells_way: bool = True, error: dict[str, Any] = STOCKOUT
    ) -> None:
        self.document, self.file, self.tells_way, self.error = document, file, tells_way, error
        self.made: list[Attempt] = []

    def next(self, **more: Any) -> Plan:
        done = planned(self.document, self.file, *self.made, **more)
        if done.request is not None:
            self._run(done)
        return done

    def _run(self, done: Plan) -> None:
        number = len(self.made) + 1
        held = self.document.name
        name = JobName(held.project, done.location, held.kind, f"8{number}")
        body = {
            **self.document.to_json(),
            **(done.request or {}),
            "name": str(name),
            "error": self.error,
        }
        self.document = Job.parse(body)
        self.made.append(
            Attempt(
                name=str(name),
                state=JobState.FAILED,
                create_time=None,
                policy=done.policy,
                step=done.step,
                verdict=done.verdict.value,
                changes=done.changes,
                number=number,
                entry=done.entry if self.tells_way else 0,
            )
        )


@pytest.mark.parametrize("tells_way", [True, False], ids=["from the ledger", "from a case file"])
def test_each_way_is_tried_once_from_where_the_job_was_first(tells_way: bool) -> None:
    chain = Chain(on_l4(), text(), tells_way=tells_way)
    assert told(chain.next()) == [("location", "us-central1", "us-west1")]
    # the region is left again: it is the machine that is another now
    assert told(chain.next()) == [
        ("location", "us-west1", "us-central1"),
        ("machineType", "g2-standard-12", "a2-highgpu-1g"),
        ("acceleratorType", L4, A100),
    ]
    third = chain.next()
    assert told(third) == [
        ("machineType", "a2-highgpu-1g", "g2-standard-12"),
        ("acceleratorType", A100, L4),
        ("strategy", None, "FLEX_START"),
        ("maxWaitDuration", None, "14400s"),
    ]
    assert third.entry == 3
    last = chain.next()  # it was on demand at first
    assert (last.action, last.request) == (Action.ALERT, None)
    assert "way 4 (spot false): the job is not spot; that is what the job was at first" in (
        last.because
    )


def test_the_failing_place_is_left_at_once() -> None:
    done = planned(on_l4(), text())
    assert (done.action, done.not_before, done.location) == (Action.RESUBMIT, None, "us-west1")
    assert "way 1 of 4: location us-west1" in done.because


def test_a_way_is_checked_before_it_is_asked_for() -> None:
    here = {"genomes": {"location": "US-CENTRAL1"}, "results": {"location": "US"}}
    done = planned(on_l4(), text(), buckets=here)
    assert done.entry == 2
    assert "way 1 (location us-west1): the data in bucket genomes is in us-central1" in done.because
    dear = planned(on_l4(), text(limits="{usd_per_job: 2}"), buckets=here)
    assert dear.entry == 3
    assert "would pass $2.00" in dear.because
    listed = planned(on_l4(), text(limits="{accelerators: [NVIDIA_L4]}"), buckets=here)
    assert listed.entry == 3
    assert 'add "NVIDIA_TESLA_A100" to `limits.accelerators`' in listed.because


WAITS = "      - {resubmit: {wait: 10m}, times: 2}\n"
HOME_AGAIN = [
    ("location", "us-east1", "us-central1"),
    ("machineType", "a2-highgpu-1g", "g2-standard-12"),
    ("acceleratorType", A100, L4),
]
ELSEWHERE = f"[{{location: us-east1, machine_type: a2-highgpu-1g, accelerator: {{type: {A100}, count: 1}}}}]"


def test_when_no_way_got_a_machine_the_jobs_own_is_waited_for_at_home() -> None:
    """Not the last way's, which was the dearest, in a region that was only the next."""
    chain = Chain(on_l4(), text(ELSEWHERE, more=WAITS))
    assert chain.next(waited=True).entry == 1
    home = chain.next(waited=True)
    assert (home.step, home.location, told(home)) == (2, "us-central1", HOME_AGAIN)
    assert "back to us-central1, since no other way got a machine" in home.because
    again = chain.next(waited=True)
    assert (again.step, again.changes) == (2, ())


def test_what_is_on_demand_in_the_end_stays_so() -> None:
    ways = "[{location: us-west1}, {spot: false}]"
    spot = on_l4(jobSpec__scheduling__strategy="SPOT")
    chain = Chain(spot, text(ways, more=WAITS))
    assert [chain.next(waited=True).entry for _ in range(2)] == [1, 2]
    assert chain.next(waited=True).changes == ()


@pytest.mark.parametrize(
    "limits",
    [f"{{accelerators: [{A100}]}}", "{machine_types: ['a2-*']}", "{retries: 1}"],
    ids=["accelerators", "machine_types", "retries"],
)
def test_a_job_that_may_not_have_its_own_again_waits_where_it_is(limits: str) -> None:
    chain = Chain(on_l4(), text(ELSEWHERE, limits=limits, more=WAITS))
    assert chain.next(waited=True).entry == 1
    assert chain.next(waited=True).changes == ()


@pytest.mark.parametrize("waits_first", [True, False])
def test_a_quota_is_waited_for_at_home_only_where_it_was_before(waits_first: bool) -> None:
    """One that was left at once may be one that can never hold the job."""
    fallback = f"      - resubmit: {{fallback: {ELSEWHERE}}}\n"
    steps = (WAITS if waits_first else "") + fallback + WAITS
    head, _, _ = text(cause="quota").partition("      - resubmit:")
    chain = Chain(on_l4(), head + steps, error=OF_SOME_QUOTA)
    done = [chain.next(waited=True, cause=Cause.QUOTA) for _ in range(4 if waits_first else 2)]
    assert done[-2].entry == 1
    assert told(done[-1]) == (HOME_AGAIN if waits_first else [])


def test_a_job_that_left_for_want_of_machines_goes_home_where_another_quota_refuses_it() -> None:
    """Its own hardware was only short: the quota of the other may be 0."""
    of_quota = f"  - name: quota\n    when: {{cause: quota}}\n    alert: [ml]\n    do:\n{WAITS}"
    chain = Chain(on_l4(), text(ELSEWHERE, more=WAITS) + of_quota)
    assert chain.next(waited=True).entry == 1
    chain.error = {
        "code": 8,
        "message": "The following quota metrics exceed quota limits: aiplatform.googleapis.com/"
        "custom_model_training_nvidia_a100_gpus, limit: 0",
    }
    chain.document = chain.document.changed("error", chain.error)
    home = chain.next(waited=True, cause=Cause.QUOTA)
    assert (home.policy, home.step, home.location) == ("quota", 1, "us-central1")
    assert told(home) == HOME_AGAIN
    chain.document = chain.document.changed("error", STOCKOUT)
    again = chain.next(waited=True)
    assert (again.policy, again.step, again.changes) == ("no-capacity", 2, ())


@pytest.mark.parametrize("spot", [False, True])
def test_home_is_gone_to_without_a_price_where_it_cannot_cost_more_than_at_first(
    spot: bool,
) -> None:
    """What an A100 of 40 GB costs in Singapore is not known; one of 80 GB has a price there."""
    four = in_region("asia-southeast1", "a2-highgpu-4g", A100, count=4)
    assert BOOK.price(four.pools[0].hardware, "asia-southeast1") is None
    if spot:
        four = four.changed("jobSpec.scheduling.strategy", "SPOT")
    ways = "[{accelerator: {type: NVIDIA_A100_80GB, count: 4}, spot: false}]"
    places = {name: {"location": "ASIA-SOUTHEAST1"} for name in EVERYWHERE}
    chain = Chain(four, text(ways, limits="{usd_per_job: 100000}", more=WAITS))
    assert chain.next(waited=True, buckets=places).entry == 1
    home = chain.next(waited=True, buckets=places)
    assert home.action is Action.RESUBMIT
    if spot:  # at first it was on spot machines, and on demand costs more
        assert home.changes == ()
        return
    assert ("machineType", "a2-ultragpu-4g", "a2-highgpu-4g") in told(home)
    assert home.estimated_usd == 0.0


def test_where_no_way_fits_the_guard_that_refused_is_named() -> None:
    ways = "[{location: europe-west4}, {machine_type: a2-highgpu-1g}]"
    done = planned(on_l4(), text(ways))
    assert (done.action, done.refused_by) == (Action.ALERT, (Guard.INCOMPATIBLE,))
    assert "no way of its fallback fits" in done.because
    assert "way 1 (location europe-west4): the data in bucket genomes is in us" in done.because
    # an accelerator is changed by nothing but its name
    assert "way 2 (machine_type a2-highgpu-1g): a2-highgpu-1g would turn 1 NVIDIA_L4 into" in (
        done.because
    )


def test_a_step_after_the_fallback_is_taken_when_no_way_is_left() -> None:
    more = "      - resubmit: {wait: backoff}\n"
    done = planned(on_l4(), text("[{location: europe-west4}]", more=more))
    assert (done.step, done.action) == (2, Action.WAIT)
    assert "step 1 is passed over: no way of its fallback fits" in done.because


def test_attempts_that_got_no_machine_are_retries() -> None:
    chain = Chain(on_l4(), text(limits="{attempts: 1, retries: 2}"))
    assert [chain.next().entry for _ in range(2)] == [1, 2]
    third = chain.next()
    assert third.refused_by == (Guard.RETRIES,)
    assert "2 of 2 unchanged resubmissions are used up" in third.because


def test_an_attempt_that_ran_and_failed_counts_as_one() -> None:
    ran = Attempt(
        name="projects/1/locations/us-west1/customJobs/81",
        state=JobState.FAILED,
        create_time=None,
        policy="other",
        step=1,
        verdict="memory_pressure",
        changes=(Change("f", 1, 2),),
        number=1,
    )
    again = replace(ran, number=2, verdict="preemption")
    done = planned(on_l4(), text(limits="{attempts: 1}"), ran, again)
    # the first was followed by a preemption, so it ran; the second met the stockout
    assert done.refused_by == (Guard.ATTEMPTS,)


def test_a_way_that_vertex_refused_is_passed_over_alone() -> None:
    done = planned(on_l4(), text(), ways_passed_over=frozenset({(1, 1)}))
    assert done.entry == 2


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({"startTime": None}, 0.0),
        ({}, 0.0),  # Vertex says when it began to look for machines
        ({"error": {"code": 3, "message": "The replica exited with 1."}}, 1.15),
        ({"jobSpec__scheduling__strategy": "SPOT"}, 0.6),
    ],
)
def test_what_never_had_a_machine_costs_nothing(changes: dict[str, Any], usd: float) -> None:
    document = on_l4() if "error" in changes else on_l4(**changes)
    document = job(dict(document.to_json()), **changes)
    assert costs.spent_usd(document, BOOK) == pytest.approx(usd, abs=0.1)


def test_spot_some_times_and_then_on_demand_whatever_was_short_of() -> None:
    file = (
        "mode: enforce\nrerun_safe: [custom]\npolicies:\n  - name: spot\n    when:\n"
        "      {cause: [preemption, capacity_stockout, quota], if: job.spot}\n    alert: [ml]\n"
        "    do:\n      - {resubmit: {}, times: 2}\n      - resubmit: {fallback: [{spot: false}]}\n"
    )
    quota = {
        "code": 8,
        "message": "The following quota metrics exceed quota limits: aiplatform.googleapis.com/"
        "custom_model_training_preemptible_nvidia_l4_gpus, limit: 0",
    }
    document = on_l4(jobSpec__scheduling__strategy="SPOT")
    assert planned(document, file, cause=Cause.PREEMPTION).changes == ()
    document = job(dict(document.to_json()), error=quota)
    done = planned(document, file, cause=Cause.QUOTA)
    assert told(done) == [("strategy", "SPOT", "STANDARD")]
    assert "what can never fit is not waited for: the limit of" in done.because


# --- quotas ---------------------------------------------------------------------------------------


def refused(message: str, held: Job, *steps: str, limits: str = "{}") -> Plan:
    document = job(dict(held.to_json()), error={"code": 8, "message": message})
    listed = "".join(f"      - resubmit: {step}\n" for step in steps)
    file = (
        f"mode: enforce\nrerun_safe: [custom, batch_prediction]\nlimits: {limits}\npolicies:\n"
        f"  - name: quota\n    alert: [ml]\n    do:\n{listed}"
    )
    return planned(document, file, cause=Cause.QUOTA)


CPUS = "The request for 8 custom_model_training_cpus exceeds the quota limit of {}"
OF_L4 = "Quota 'NVIDIA_L4_GPUS' exceeded. Limit: {} in region us-central1."


def test_what_can_never_fit_is_never_waited_for() -> None:
    done = refused(CPUS.format(1), job(CUSTOM), "{wait: backoff}")
    assert (done.action, done.not_before) == (Action.RESUBMIT, None)
    assert told(done) == [("machineType", "n1-standard-8", "n4-standard-8")]
    assert "the limit of custom_model_training_cpus in us-central1 is 1 and the job needs 8" in (
        done.because
    )


def test_what_may_fit_later_is_waited_for() -> None:
    done = refused(CPUS.format(96), job(CUSTOM), "{wait: backoff}")
    assert (done.action, done.changes) == (Action.WAIT, ())


def test_a_later_step_that_fits_comes_before_another_family() -> None:
    done = refused(OF_L4.format("0.0"), on_l4(), "{wait: backoff}", "{location: us-west1}")
    assert (done.step, done.location) == (2, "us-west1")


def test_where_nothing_fits_the_exact_quota_is_named() -> None:
    done = refused(OF_L4.format("0.0"), on_l4(), "{wait: backoff}")
    assert (done.action, done.request) == (Action.ALERT, None)
    assert (
        "the limit of NVIDIA_L4_GPUS in us-central1 is 0 and the job needs 1 device: ask for at "
        "least 1"
    ) in done.because


def test_another_family_keeps_to_the_lists() -> None:
    done = refused(CPUS.format(1), job(CUSTOM), "{}", limits='{machine_types: ["n1-*", "e2-*"]}')
    assert (done.action, done.changes) == (Action.ALERT, ())
    assert "ask for at least 8" in done.because


def test_a_way_that_the_quota_cannot_hold_is_passed_over() -> None:
    ways = "[{machine_type: g2-standard-16}, {location: us-west1}]"
    file = text(ways, cause="quota")
    document = job(dict(on_l4().to_json()), error={"code": 8, "message": OF_L4.format("0.0")})
    done = planned(document, file, cause=Cause.QUOTA)
    assert done.entry == 2
    assert "way 1 (machine_type g2-standard-16): what can never fit" in done.because


def test_a_quota_of_all_regions_is_left_by_no_move() -> None:
    message = "Quota 'GPUS_ALL_REGIONS' exceeded. Limit: 0.0 globally."
    done = refused(message, on_l4(), "{location: us-west1}")
    assert (done.action, done.request) == (Action.ALERT, None)
    assert "ask for at least 1" in done.because


def test_the_least_of_a_family_that_is_refused_goes_to_another() -> None:
    found = Case.parse(
        json.loads((Path(__file__).parent / "data/remedies/quota-of-c2.json").read_text())
    )
    file = load((Path(__file__).parent / "data/remedies/policies.yaml").read_text()).require()
    done = plan(found, diagnose(found), file, History(), BOOK)
    assert (done.action, done.not_before) == (Action.RESUBMIT, None)
    (change,) = done.changes
    assert change.before == "c2-standard-4"
    assert not str(change.after).startswith("c2-")
    assert "4 vCPUs are the least that can be asked of custom_model_training_c2_cpus" in (
        done.because
    )


READ = [
    ("Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 0.0 in region us-central1.",
     ("NVIDIA_T4_GPUS", 0.0, "us-central1", set(), T4, False)),
    (("The following quota metrics exceed quota limits: aiplatform.googleapis.com/"
     "custom_model_training_preemptible_cpus"),
     ("custom_model_training_preemptible_cpus", None, "", {"n1", "e2"}, "", True)),
    ("CustomModelTrainingT4GPUsPerProjectPerRegion quota exhausted in us-central1",
     ("CustomModelTrainingT4GPUsPerProjectPerRegion", None, "", set(), T4, False)),
    ('"quota_metric": "compute.googleapis.com/c2_cpus", "quota_limit_value": "8"',
     ("c2_cpus", 8.0, "", {"c2"}, "", False)),
    ("Quota 'N2D_CPUS' exceeded. Limit: 500.0 in region europe-west1.",
     ("N2D_CPUS", 500.0, "europe-west1", {"n2d"}, "", False)),
    ("custom_model_training_nvidia_a100_80gb_gpus limit: 1, usage: 0",
     ("custom_model_training_nvidia_a100_80gb_gpus", 1.0, "", set(), "NVIDIA_A100_80GB", False)),
    ("custom_model_serving_nvidia_h100_gpus",
     ("custom_model_serving_nvidia_h100_gpus", None, "", set(), "NVIDIA_H100_80GB", False)),
]  # fmt: skip


@pytest.mark.parametrize(("message", "expected"), READ, ids=[row[1][0] for row in READ])
def test_a_quota_is_read_as_it_is_told(message: str, expected: tuple[Any, ...]) -> None:
    (found,) = read_quotas([message])
    assert (
        found.metric, found.limit, found.region, set(found.families), found.device, found.spot
    ) == expected  # fmt: skip


@pytest.mark.parametrize("had_it", [True, False])
def test_a_quota_of_devices_that_the_job_did_not_have_at_first_is_waited_for_once(
    had_it: bool,
) -> None:
    """Nobody says that the project may use any; of its own it was given some before."""
    larger = f"{{machine_type: a2-highgpu-1g, accelerator: {{type: {A100}, count: 1}}}}"
    of_memory = f"  - name: memory\n    when: {{cause: gpu_memory}}\n    alert: [ml]\n    do: [{{resubmit: {larger}}}]\n"
    head, _, _ = text(cause="quota").partition("      - resubmit:")
    waits = WAITS.replace("times: 2", "times: 4")
    chain = Chain(on_l4(), head + waits + of_memory)
    chain.error = {
        "code": 8,
        "message": f"The following quota metrics exceed quota limits: {OF_VERTEX.replace('t4', 'a100')}",
    }
    if had_it:
        chain.error["message"] = chain.error["message"].replace("a100", "l4")
        chain.document = chain.document.changed("error", chain.error)
    else:
        assert chain.next(cause=Cause.GPU_MEMORY).policy == "memory"
    done = [chain.next(waited=True, cause=Cause.QUOTA) for _ in range(3)]
    assert [one.action for one in done][:1] == [Action.RESUBMIT]
    again = Action.RESUBMIT if had_it else Action.ALERT
    assert [one.action for one in done][1:] == [again, again]
    if not had_it:
        assert "still refused the 1 device after a wait: ask for at least 1" in done[-1].because


OF_VERTEX = "aiplatform.googleapis.com/custom_model_training_nvidia_t4_gpus"


@pytest.mark.parametrize(
    ("message", "metrics"),
    [
        (f"The following quota metrics exceed quota limits: {OF_VERTEX}", (OF_VERTEX,)),
        (
            (
                "Quota exceeded for quota metric 'custom_model_training_nvidia_t4_gpus' of service "
                "'aiplatform.googleapis.com' in region us-west4: 1 requested."
            ),
            (OF_VERTEX,),
        ),
        (
            (
                "Quota exceeded for quota metric 'custom_model_training_nvidia_t4_gpus' and limit 'T4 GPUs per "
                "region' of service 'aiplatform.googleapis.com' for consumer 'project_number:7'."
            ),
            (OF_VERTEX,),
        ),
        (
            (
                "Quota exceeded for quota metric 'reads' of service 'firestore.googleapis.com', not "
                "'aiplatform.googleapis.com'"
            ),
            (),
        ),
        (
            "Quota exceeded for quota metric 'Read requests' of service 'aiplatform.googleapis.com'",
            (),
        ),
    ],
)
def test_the_metrics_that_are_asked_for_in_monitoring(
    message: str, metrics: tuple[str, ...]
) -> None:
    assert vertex_metrics(message) == metrics


@pytest.mark.parametrize(
    "message",
    [
        "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute'",
        "CUDA out of memory",
        "",
    ],
)
def test_what_names_no_quota_of_machines_is_none(message: str) -> None:
    assert not any(quota.is_of_machines for quota in read_quotas([message]))


def test_the_batch_quota_is_another() -> None:
    message = "The request for 16 custom_model_serving_cpus exceeds the quota limit of 8"
    done = refused(message, job(BATCH), "{wait: backoff}")  # two replicas of eight
    assert told(done)[0][:2] == ("machineType", "n1-standard-8")


# --- another region that has what the step asks for --------------------------------------------

LISTS = (
    '{usd_per_job: 100, machine_types: ["g2-*", "a2-*"], '
    "accelerators: [NVIDIA_L4, NVIDIA_TESLA_A100]}"
)
OR_ELSEWHERE = "[{accelerator: more_memory}, {location: next, accelerator: more_memory}]"


def in_region(region: str, machine: str = "g2-standard-8", device: str = L4, count: int = 1) -> Job:
    spec = {"machineType": machine, "acceleratorType": device, "acceleratorCount": count}
    document = job(CUSTOM, jobSpec__workerPoolSpecs=[pool(spec)])
    return replace(document, name=replace(document.name, location=region))


def out_of_device_memory(region: str, file: str, data: str = "US") -> Plan:
    places = {name: {"location": data} for name in EVERYWHERE}
    return planned(in_region(region), file, cause=Cause.GPU_MEMORY, buckets=places)


def test_next_looks_for_a_region_that_has_the_larger_accelerator() -> None:
    assert BOOK.offered(Hardware("a2-highgpu-1g", A100, 1), "us-west1", Service.TRAINING) is False
    done = out_of_device_memory("us-west1", text(OR_ELSEWHERE, LISTS, cause="gpu_memory"))
    assert told(done) == [
        ("location", "us-west1", "us-west3"),
        ("machineType", "g2-standard-8", "a2-highgpu-1g"),
        ("acceleratorType", L4, A100),
    ]
    assert BOOK.price(Hardware("a2-highgpu-1g", A100, 1), "us-west3") is not None
    assert "way 1 (accelerator more_memory): what the job would cost in us-west1" in done.because


def test_a_region_that_has_it_is_not_left() -> None:
    done = out_of_device_memory("us-central1", text(OR_ELSEWHERE, LISTS, cause="gpu_memory"))
    assert (done.location, done.entry) == ("us-central1", 1)


@pytest.mark.parametrize("continent", ["us", "europe", "asia"])
def test_next_leads_to_a_region_with_a_price_where_there_is_one(continent: str) -> None:
    places = {name: {"location": continent.replace("europe", "eu")} for name in EVERYWHERE}
    for machine, device in MACHINES:
        for region in sorted(one for one in BOOK.offers if one.startswith(continent)):
            held = in_region(region, machine, device)
            done = planned(held, text("[{location: next}]", ANY), buckets=places)
            if done.action is Action.RESUBMIT:
                assert BOOK.price(held.pools[0].hardware, done.location) is not None


MACHINES = [("g2-standard-8", L4), ("a2-highgpu-1g", A100), ("a2-ultragpu-1g", "NVIDIA_A100_80GB")]
ANY = "{usd_per_job: 1000}"


def test_next_passes_by_a_region_that_offers_it_without_a_price() -> None:
    """What the first in order would cost nobody knows: it was taken, and refused for that."""
    held = in_region("us-east4", "a3-megagpu-8g", "NVIDIA_H100_MEGA_80GB", count=8)
    (eight,) = (pool.hardware for pool in held.pools)
    assert BOOK.offered(eight, "us-east5", Service.TRAINING)
    assert BOOK.price(eight, "us-east5") is None
    done = planned(held, text("[{location: next}]", ANY))
    assert (done.action, done.location) == (Action.RESUBMIT, "us-west1")


def test_a_step_without_a_price_gives_way_to_a_later_fallback_that_fits() -> None:
    sized = "    do:\n      - resubmit: {machine_type: sized}\n"
    file = text(OR_ELSEWHERE, LISTS, cause="gpu_memory").replace("    do:\n", sized)
    done = out_of_device_memory("us-west1", file)
    assert (done.step, done.entry, done.location) == (2, 2, "us-west3")
    assert "step 1 is passed over: what the job would cost in us-west1 is not known" in done.because
    stays = out_of_device_memory("us-west1", file, data="US-WEST1")
    assert (stays.action, stays.step) == (Action.ALERT, 1)
    assert Guard.UNKNOWN_PRICE in stays.refused_by
    assert "the data in bucket genomes is in us-west1, not in" in stays.because
    alone = file.replace(f"      - resubmit: {{fallback: {OR_ELSEWHERE}}}\n", "")
    assert Guard.UNKNOWN_PRICE in out_of_device_memory("us-west1", alone).refused_by


TO_DATA = "mode: enforce\nrerun_safe: [custom]\npolicies: [{name: far, do: [{resubmit: {location: data}}]}]"


@pytest.mark.parametrize(
    ("data", "goes_to"),
    [
        ("EUROPE-WEST4", "europe-west4"),
        ("EUR4", "europe-north1"),
        ("EU", "europe-central2"),
        ("ASIA1", "asia-northeast1"),
    ],
)
def test_data_leads_to_the_region_of_the_input_or_into_its_multi_region(
    data: str, goes_to: str
) -> None:
    places = {name: {"location": data} for name in EVERYWHERE}
    done = planned(job(CUSTOM), TO_DATA, cause=Cause.NETWORK_LATENCY, buckets=places)
    assert (done.action, done.location) == (Action.RESUBMIT, goes_to)
    assert regions.covers(data.lower(), goes_to)


def test_an_input_that_is_near_already_leaves_the_step_without_effect() -> None:
    done = planned(job(CUSTOM), TO_DATA, cause=Cause.NETWORK_LATENCY)
    assert (done.action, done.refused_by) == (Action.ALERT, ())
    assert "the input is in us, where the job runs already" in done.because
    assert "the time goes to fetching data, which a bigger machine does not shorten" in done.because
