"""The example policy files under `docs/`: each is valid, and does what its comments say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Cause, Diagnosis, Guard, History, Mode, Needs, Plan
from remediator.job import Job
from remediator.job.differences import difference_is_legal
from remediator.planning import plan
from remediator.policy import load
from tests.jobs import BATCH, CUSTOM, attempt, case, diagnosis, job

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "examples" / "policies"
BOOK = Catalog.built_in()
EVERYWHERE = {"genomes": {"location": "US"}, "results": {"location": "US"}}
A100 = {"machineType": "a2-highgpu-1g", "acceleratorType": "NVIDIA_TESLA_A100", "acceleratorCount": 1}  # fmt: skip
SPEC = "jobSpec.workerPoolSpecs[0]"
L4 = job(CUSTOM).changed(
    f"{SPEC}.machineSpec",
    {"machineType": "g2-standard-8", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1},
)
V100 = job(CUSTOM).changed(
    f"{SPEC}.machineSpec",
    {
        "machineType": "n1-standard-8",
        "acceleratorType": "NVIDIA_TESLA_V100",
        "acceleratorCount": 1,
    },
)
TORCH = L4.changed("labels", {"framework": "torch"})
BY_VARIABLE = TORCH.changed(f"{SPEC}.containerSpec.env", [{"name": "BATCH_SIZE", "value": "32"}])
BY_FLAG = TORCH.changed(f"{SPEC}.containerSpec.args", ["--batch_size", "32"])
TEMPFAIL = job(CUSTOM, error={"code": 3, "message": "exited with a non-zero status of 75."})
SPOT = job(CUSTOM, jobSpec__scheduling__strategy="SPOT")
DAY, NIGHT = "2026-11-23T09:00:00Z", "2026-11-23T22:00:00Z"


def planned(file: str, document: Job, cause: Cause, made: int = 0, **more: Any) -> Plan:
    text = (FOLDER / file).read_text()
    policies = load(text, file).require()
    enforced = policies.changed(mode=Mode.ENFORCE)
    found: Diagnosis = diagnosis(document, cause)
    if cause is Cause.CPU_SATURATION:
        found = replace(found, needs=Needs(work_done=0.5))
    name = next(p.name for p in policies.policies if p.when.cause and cause in p.when.cause)
    before = tuple(attempt(name, number=n, step=1) for n in range(1, made + 1))
    more.setdefault("buckets", EVERYWHERE)
    history = History(attempts=before)
    return plan(case(document, **more), found, enforced, history, BOOK)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_without_mistakes_and_named_on_the_page(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=../../policies.schema.json\n")
    loaded = load(text, path.name, catalog=BOOK, served=tuple(BOOK.offers))
    # Every region is served here: what one of them has no price for is told, rightly.
    assert [m for m in loaded.mistakes if "no price is known for" not in m.message] == []
    assert f"(examples/policies/{path.name})" in (FOLDER.parents[1] / "policies.md").read_text()


ROWS: list[tuple[str, Job, Cause, int, dict[str, tuple[Any, Any]]]] = [
    ("fallback.yaml", L4, Cause.CAPACITY_STOCKOUT, 0, {"location": ("us-central1", "us-west1")}),
    (
        "fallback.yaml",
        L4,
        Cause.CAPACITY_STOCKOUT,
        1,
        {
            "machineType": ("g2-standard-8", "a2-highgpu-1g"),
            "acceleratorType": ("NVIDIA_L4", "NVIDIA_TESLA_A100"),
        },
    ),
    (
        "fallback.yaml",
        L4,
        Cause.GPU_MEMORY,
        0,
        {
            "machineType": ("g2-standard-8", "a2-highgpu-1g"),
            "acceleratorType": ("NVIDIA_L4", "NVIDIA_TESLA_A100"),
        },
    ),
    ("own-batch.yaml", BY_VARIABLE, Cause.GPU_MEMORY, 0, {"value": ("32", "16")}),
    ("own-batch.yaml", BY_FLAG, Cause.GPU_MEMORY, 0, {"args[1]": ("32", "16")}),
    (
        "own-batch.yaml",
        TORCH,
        Cause.GPU_MEMORY,
        0,
        {
            "machineType": ("g2-standard-8", "a2-highgpu-1g"),
            "acceleratorType": ("NVIDIA_L4", "NVIDIA_TESLA_A100"),
        },
    ),
    ("exit-codes.yaml", TEMPFAIL, Cause.USER_CODE_ERROR, 0, {}),
    ("time-and-disk.yaml", job(CUSTOM), Cause.DISK_FULL, 0, {"bootDiskSizeGb": (100, 500)}),
    ("spot.yaml", SPOT, Cause.PREEMPTION, 0, {}),
    ("spot.yaml", SPOT, Cause.PREEMPTION, 2, {"strategy": ("SPOT", "STANDARD")}),
    (
        "spot.yaml",
        job(CUSTOM),
        Cause.MEMORY_PRESSURE,
        0,
        {"machineType": ("n1-standard-8", "n1-standard-16"), "strategy": (None, "SPOT")},
    ),
    (
        "fallback.yaml",
        job(CUSTOM),
        Cause.CPU_SATURATION,
        0,
        {"machineType": ("n1-standard-8", "e2-highcpu-32")},
    ),
    ("own-hardware.yaml", V100, Cause.PREEMPTION, 0, {}),
    ("own-hardware.yaml", V100, Cause.CAPACITY_STOCKOUT, 3, {}),
    (
        "own-hardware.yaml",
        V100,
        Cause.MEMORY_PRESSURE,
        0,
        {"machineType": ("n1-standard-8", "n1-highmem-8")},
    ),
    (
        "own-hardware.yaml",
        V100,
        Cause.GPU_MEMORY,
        0,
        {
            "machineType": ("n1-standard-8", "g2-standard-8"),
            "acceleratorType": ("NVIDIA_TESLA_V100", "NVIDIA_L4"),
        },
    ),
    (
        "larger-gpus.yaml",
        V100.changed(f"{SPEC}.machineSpec.machineType", "n1-highmem-8"),
        Cause.MEMORY_PRESSURE,
        0,
        {
            "machineType": ("n1-highmem-8", "g2-standard-32"),
            "acceleratorType": ("NVIDIA_TESLA_V100", "NVIDIA_L4"),
        },
    ),
    ("rows.yaml", job(BATCH), Cause.REQUEST_TOO_LARGE, 0, {"batchSize": (None, 32)}),
]


@pytest.mark.parametrize(
    ("file", "document", "cause", "made", "changes"),
    ROWS,
    ids=[f"{row[0]}-{row[2].value}-{row[3]}" for row in ROWS],
)
def test_an_example_does_what_it_says(
    file: str, document: Job, cause: Cause, made: int, changes: dict[str, tuple[Any, Any]]
) -> None:
    found = planned(file, document, cause, made)
    assert found.refused_by == ()
    assert found.action in {Action.RESUBMIT, Action.WAIT}
    assert {c.field.rpartition(".")[2]: (c.before, c.after) for c in found.changes} == changes
    assert difference_is_legal(document, found.request or {}, found.changes)


def test_the_roll_out_acts_by_day_asks_at_night_and_only_tells_of_the_cpu() -> None:
    by_day = planned("roll-out.yaml", job(CUSTOM), Cause.MEMORY_PRESSURE, now=DAY)
    assert (by_day.policy, by_day.action, by_day.mode) == ("memory-by-day", "resubmit", "enforce")
    at_night = planned("roll-out.yaml", job(CUSTOM), Cause.MEMORY_PRESSURE, now=NIGHT)
    assert (at_night.policy, at_night.action) == ("memory-at-night", "approve")
    cpu = planned("roll-out.yaml", job(CUSTOM), Cause.CPU_SATURATION, now=DAY)
    assert (cpu.policy, cpu.mode) == ("cpu", "observe")
    off = planned("roll-out.yaml", job(CUSTOM), Cause.ACCELERATOR_MISSING, now=DAY)
    assert (off.policy, off.action) == ("", "alert")


@pytest.mark.parametrize(
    ("data", "place"),
    [("US", "us-central1"), ("EUROPE-WEST4", "europe-west4"), ("", "us-central1")],
    ids=["beside-it", "elsewhere", "not-known"],
)
def test_full_cpus_after_a_larger_machine_go_to_where_the_data_are(data: str, place: str) -> None:
    far = {name: {"location": data} for name in EVERYWHERE if data}
    found = planned("fallback.yaml", job(CUSTOM), Cause.CPU_SATURATION, 1, buckets=far)
    assert (found.step, found.location, found.refused_by) == (2, place, ())
    moved = {change.field.rpartition(".")[2] for change in found.changes}
    assert moved == {"machineType"} | ({"location"} if place != "us-central1" else set())


@pytest.mark.parametrize(
    ("treated_for", "policy"), [("cpu_saturation", "more-cpus-in-vain"), ("memory_pressure", "")]
)
def test_more_cpus_in_vain_lead_to_the_data_where_no_cause_is_left(
    treated_for: str, policy: str
) -> None:
    text = (FOLDER / "fallback.yaml").read_text()
    file = load(text, "fallback.yaml").require().changed(mode=Mode.ENFORCE)
    document = job(CUSTOM)
    before = replace(attempt("starved-of-cpu", number=1, step=1), verdict=treated_for)
    known = case(document, buckets={name: {"location": "EUROPE-WEST4"} for name in EVERYWHERE})
    made = plan(known, diagnosis(document, Cause.UNKNOWN), file, History(attempts=(before,)), BOOK)
    assert (made.policy, made.location) == (policy, "europe-west4" if policy else "")


def test_a_list_holds_for_the_same_job_again_where_no_policy_narrows_it() -> None:
    text = (FOLDER / "own-hardware.yaml").read_text()
    narrow = "limits: {accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4], usd_per_job: 100,"
    file = load(text.replace("limits: {usd_per_job: 100,", narrow, 1), "own.yaml").require()
    found = diagnosis(V100, Cause.PREEMPTION)
    made = plan(case(V100, buckets=EVERYWHERE), found, file, History(), BOOK)
    assert (made.action, made.refused_by) == (Action.ALERT, (Guard.ACCELERATORS,))
