"""Every machine of a job, of whichever kind: its own pools, and those of the jobs that a run starts.

Owns nothing but the choice among `fields`, `launchers` and the custom jobs in a run's executors. Must
not decide. Called by `Job` and its facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from remediator.domain import JobKind
from remediator.job import fields, launchers, pipeline
from remediator.job.document import Document, once, read
from remediator.job.fields import Pool
from remediator.job.pipeline import PipelineNode


@once
def pools(job: Document) -> tuple[Pool, ...]:
    """Every pool of the job that has a machine type, in the job's order.

    A pool of a run that launches a job on machines that cannot be read stands there without a name.
    """
    if job.kind is not JobKind.PIPELINE:
        return fields.pools(job)
    listed = pipeline.nodes(job)
    dead = frozenset(node.path for node in listed if node.failed)
    return tuple(pool for node in listed for pool in of_task(job, node, dead))


def of_task(job: Document, node: PipelineNode, dead: frozenset[str]) -> Iterator[Pool]:
    """The machines of what one task starts: an old custom job in its executor, or a launched job."""
    for spec in fields.custom_jobs(node.holder):
        held = fields.worker_pools(job, spec, node.path)
        strategy = str(read(job, f"{spec}.scheduling.strategy") or "")
        yield from (replace(pool, strategy=strategy) for pool in held)
    if isinstance(job.read(f"{node.holder}.container"), Mapping):
        yield from launchers.pools(job, node, dead)
