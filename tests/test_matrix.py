"""Every cell of the matrix that says "resubmits" is something the planner really does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remediator.catalog.catalog import Catalog
from remediator.domain import NEVER_RETRIED, Action, Cause, History, JobKind
from remediator.job import KINDS, Job
from remediator.job.differences import difference_is_legal
from remediator.planning import plan
from remediator.planning.remedies import fitting, matrix
from tests.jobs import EVERY_KIND, case, diagnosis, job, policies

ROOT = Path(__file__).resolve().parents[1]
PLACES = {"genomes": {"location": "US"}, "results": {"location": "US"}}
BODIES = {Job.parse(body).kind: body for body in EVERY_KIND}
# The job on which a cell is tried has what the remedy changes.
HELD = {
    "accelerator: more_memory": ("NVIDIA_TESLA_T4", 1),
}
HELD_FIELDS = {
    "spot: false": ("{spec}.scheduling.strategy", "SPOT"),
    "explanations: false": ("generateExplanation", True),
}
PROGRAM = {"env: {BATCH_SIZE: halve}", "args: {--batch_size: halve}"}
DEVICES = "pipelineSpec.deploymentSpec.executors.exec-train.container.resources.accelerator"
CELLS = [
    pytest.param(kind, cause, remedy, id=f"{kind.value}-{cause.value}-{remedy[:24]}")
    for kind in JobKind
    for cause in Cause
    for remedy in fitting(kind, cause)
]


def test_the_page_is_what_the_tables_say() -> None:
    assert (ROOT / "docs" / "matrix.md").read_text() == matrix()


@pytest.mark.parametrize(("kind", "cause", "remedy"), CELLS)
def test_a_cell_that_says_resubmits_does(kind: JobKind, cause: Cause, remedy: str) -> None:

    document = job(BODIES[kind])
    for pool in document.pools if remedy in HELD else ():
        name, count = HELD[remedy]
        document = document.changed(pool.accelerator_path, name).changed(pool.count_path, count)
    if remedy in HELD and kind is JobKind.PIPELINE:
        name, count = HELD[remedy]
        document = document.changed(DEVICES, {"type": name, "count": str(count)})
    for pool in document.pools if remedy == "strategy: FLEX_START" else ():  # it wants such a GPU
        document = document.changed(pool.machine_path, "g2-standard-8")
        document = document.changed(pool.accelerator_path, "NVIDIA_L4").changed(pool.count_path, 1)
    if remedy in HELD_FIELDS and kind is not JobKind.PIPELINE:
        path, value = HELD_FIELDS[remedy]
        spec = KINDS[kind].spec
        document = document.changed(path.format(spec=spec), value)
    if remedy in PROGRAM:
        for path in document.environments:
            holder = path.rpartition(".")[0]
            document = document.changed(path, [{"name": "BATCH_SIZE", "value": "16"}])
            document = document.changed(f"{holder}.args", ["--batch_size=16"])
    text = (
        f"mode: enforce\nrerun_safe: [{', '.join(JobKind)}]\n"
        f"policies: [{{name: cell, do: [{{resubmit: {{{remedy}}}}}]}}]"
    )
    made = plan(
        case(document, buckets=PLACES),
        diagnosis(document, cause),
        policies(text),
        History(),
        Catalog.built_in(),
    )
    assert (made.refused_by, made.action) in {((), Action.RESUBMIT), ((), Action.WAIT)}
    assert made.request is not None
    assert difference_is_legal(document, made.request, made.changes)


@pytest.mark.parametrize("cause", sorted(NEVER_RETRIED))
def test_no_cell_resubmits_what_is_never_retried(cause: Cause) -> None:
    assert [fitting(kind, cause) for kind in JobKind] == [()] * len(JobKind)


def test_the_page_of_kinds_lists_what_each_may_have_changed() -> None:
    text = (ROOT / "docs" / "kinds.md").read_text()
    lists = re.findall(r"^- \*\*May be changed:\*\* (.+)$", text, re.MULTILINE)
    told = [frozenset(re.findall(r"`(\w+)`", line)) for line in lists]
    assert told == [KINDS[kind].legal for kind in JobKind]
