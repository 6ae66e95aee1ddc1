"""What holds of every plan, whatever the job and the policies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.case import Case
from remediator.domain import (
    NEVER_RETRIED,
    Action,
    Cause,
    Guard,
    History,
    JobKind,
    Mode,
    Needs,
    label_value,
)
from remediator.job import KINDS, Job
from remediator.job.differences import difference_is_legal
from remediator.planning import plan
from remediator.policy import load
from tests.jobs import (
    EVERY_KIND,
    diagnosis,
    job,
)
from tests.planning.planner_cases import BOOK, ladder, planned, steps, written

CALM = settings(deadline=None)  # two cores are shared: time is judged in one test of its own


machines = st.sampled_from(sorted(BOOK.machines))


@st.composite
def failed_jobs(draw: st.DrawFn) -> Job:
    """Jobs of any kind on any hardware that Vertex takes for them."""
    body = draw(st.sampled_from(EVERY_KIND))
    document = job(body)
    service = KINDS[document.kind].service
    for pool in document.pools:
        kind = BOOK.machines[draw(machines)]
        if service not in kind.services or kind.name == "cloud-tpu":
            continue
        document = document.changed(pool.machine_path, kind.name)
        counts = [("", 0)]
        if kind.accelerator:
            counts = [(kind.accelerator, kind.accelerator_count)]
        else:
            counts += [
                (name, count)
                for name in BOOK.accelerators
                for count in BOOK.allowed_counts(kind.name, name, service)[:3]
            ]
        accelerator, count = draw(st.sampled_from(counts))
        document = document.changed(pool.accelerator_path, accelerator or None)
        document = document.changed(pool.count_path, count or None)
    region = draw(st.sampled_from(["us-central1", "europe-west4", "asia-east1", "us-east1"]))
    name = str(document.name).replace("us-central1", region)
    document = Job.parse({**document.to_json(), "name": name})
    return document.changed("labels", draw(st.sampled_from([{}, {"env": "prod"}])))


@CALM
@given(
    failed_jobs(),
    steps,
    st.sampled_from([c for c in Cause if c not in NEVER_RETRIED]),
    st.builds(
        Needs,
        peak_memory_gib=st.none() | st.floats(1, 2000),
        memory_is_lower_bound=st.booleans(),
        work_done=st.none() | st.floats(0.01, 1),
        request_seconds=st.none() | st.floats(1, 2000),
    ),
    st.sampled_from(["{}", "{usd_per_job: 5}", '{machine_types: ["n1-*"], max_run: 2x}']),
)
def test_no_plan_loses_a_field_or_asks_for_what_vertex_refuses_or_costs_more_than_allowed(
    document: Job, step: dict[str, Any], cause: Cause, needs: Needs, limits: str
) -> None:
    text = ladder(f"resubmit: {written(step)}", limits=limits)
    made = planned(document, text, cause, needs=needs)
    assert made.because.endswith(".")
    if made.action is Action.ALERT:
        assert made.refused_by or "is passed over" in made.because
        assert made.request is None
        return
    assert made.request is not None
    assert difference_is_legal(document, made.request)
    created = Job(document.name, made.request)
    for change in made.changes:
        assert change.before != change.after
        if change.field != "location":
            assert created.read(change.field) == change.after
    service = KINDS[document.kind].service
    for before, after in zip(document.pools, created.pools, strict=True):
        if before.hardware != after.hardware:
            assert BOOK.why_not(after.hardware, service) == ""
            assert BOOK.offered(after.hardware, made.location, service) is not False
        if "machine_types" in limits:
            assert after.hardware.machine.startswith("n1-")
    if "usd_per_job" in limits:
        assert made.estimated_usd is not None
        assert made.estimated_usd <= 5.005
    if made.estimated_usd == 0:
        assert "it cannot cost more than the failed run" in made.because
    elif made.estimated_usd is not None:
        assert 0 < made.estimated_usd <= (made.worst_case_usd or 0)
    assert made.request["displayName"].endswith(" (attempt 1)")
    assert "remediator-claim" not in made.request["labels"]


@CALM
@given(failed_jobs(), steps, st.sampled_from(sorted(NEVER_RETRIED)))
def test_what_is_never_retried_never_is(document: Job, step: dict[str, Any], cause: Cause) -> None:
    made = planned(document, ladder(f"resubmit: {written(step)}"), cause)
    assert made.action is Action.ALERT
    assert Guard.CAUSE in made.refused_by or "step 1 is passed over" in made.because


@CALM
@given(failed_jobs(), steps)
def test_the_same_case_makes_the_same_plan(document: Job, step: dict[str, Any]) -> None:
    text = ladder(f"resubmit: {written(step)}")
    assert planned(document, text) == planned(document, text)


def test_the_shipped_file_decides_for_every_kind_and_cause() -> None:
    """No case of the matrix ends in a traceback or without anybody being told."""
    from pathlib import Path

    shipped = load((Path(__file__).parents[2] / "policies.yaml").read_text()).require()
    for body in EVERY_KIND:
        for cause in Cause:
            document = job(body)
            facts = Case(job=document, now=datetime(2026, 11, 23, 19, 7, tzinfo=UTC))
            made = plan(facts, diagnosis(document, cause), shipped, History(), BOOK)
            assert made.policy, (document.kind, cause)
            assert made.mode is Mode.OBSERVE
            assert made.alerts or made.refused_by, (document.kind, cause)


def test_every_kind_is_named_by_its_label_value() -> None:
    assert {label_value(kind.value) for kind in JobKind} == {kind.value for kind in JobKind}
