"""What can be said of a job in one value, with the sizes of its machine by the catalogue.

Owns the one answer that diagnosis, policies and reports are given to the same question. Must not
decide. Called by `Job.facts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from remediator.catalog.catalog import Catalog, Hardware
from remediator.domain import JobKind, Json
from remediator.domain.late_pattern import late_pattern
from remediator.job import containers, data_places, ending, fields, machines, pipeline, programs
from remediator.job.document import Document, once


class JobFacts(Struct, frozen=True):
    """What diagnosis and policies say about a job; None: it does not have it, or it is not known.

    Of several machines the first one speaks; of a pipeline run, that of the task that failed.
    `timeout_seconds` is when Vertex stops the job itself, `part_timeout` the limit at which it stopped the trials or
    tasks of which the job failed. `cpu_image`: an image that its name says
    is built for CPUs, empty where none is or some other is built for GPUs. `device_setting` is the
    argument or variable that asks for a GPU, as it is written; `hides_gpus`: CUDA_VISIBLE_DEVICES
    leaves none. `data_places`: buckets and `project.dataset`s of the job and its Model's container.
    """

    kind: JobKind
    display_name: str
    location: str
    labels: Mapping[str, str]
    service_account: str | None
    run_seconds: float | None
    machine_type: str | None
    vcpus: int | None
    memory_gib: float | None
    family: str | None
    accelerator_type: str | None
    accelerator_count: int | None
    replicas: int | None
    batch_size: int | None
    model: str | None
    spot: bool
    strategy: str | None
    disk_gb: int | None
    exit_code: int | None
    timeout_seconds: float | None
    ran_into_timeout: bool
    part_timeout: ending.PartTimeout | None
    images: tuple[str, ...]
    cpu_image: str
    device_setting: str
    hides_gpus: bool
    data_places: tuple[str, ...]

    @property
    def image(self) -> str | None:
        """The container image that speaks for the job."""
        return next(iter(self.images), None)

    @property
    def has_accelerator(self) -> bool:
        return bool(self.accelerator_count)

    def variables(self) -> dict[str, Any]:
        """The contract's CEL variables `job.*`, nested; what is not known is left out."""
        machine = {
            "type": self.machine_type,
            "vcpus": self.vcpus,
            "memory_gib": self.memory_gib,
            "family": self.family,
        }
        accelerator = {"type": self.accelerator_type, "count": self.accelerator_count}
        job = {
            "kind": self.kind.value,
            "display_name": self.display_name,
            "location": self.location,
            "labels": dict(self.labels),
            "service_account": self.service_account,
            "run_seconds": self.run_seconds,
            "machine": _known(machine),
            "accelerator": _known(accelerator),
            "replicas": self.replicas,
            "batch_size": self.batch_size,
            "model": self.model,
            "spot": self.spot,
            "strategy": self.strategy,
            "disk_gb": self.disk_gb,
            "image": self.image,
            "exit_code": self.exit_code,
        }
        return _known(job)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def facts(job: Document, catalog: Catalog, model: Json | None = None) -> JobFacts:
    """What can be said of the job and of its Model, where it has one."""
    if model is None and catalog is Catalog.built_in():
        return _usual_facts(job)
    return _facts(job, catalog, model)


@once
def _usual_facts(job: Document) -> JobFacts:
    """Of a job without a Model, by the catalogue as shipped: one event asks for them three times."""
    return _facts(job, Catalog.built_in(), None)


def _facts(job: Document, catalog: Catalog, model: Json | None) -> JobFacts:
    found = machines.pools(job)
    first = _first(job, catalog)
    named = first.machine if first else ""
    machine = catalog.machine(named)
    vcpus, memory_gib = catalog.size(named)
    settings = programs.settings(job, model)
    return JobFacts(
        kind=job.kind,
        display_name=job.display_name,
        location=job.name.location,
        labels=job.labels,
        service_account=fields.service_account(job),
        run_seconds=job.run_seconds,
        machine_type=named or None,
        vcpus=vcpus,
        memory_gib=memory_gib,
        family=machine.family if machine else _family_of(named),
        accelerator_type=(first.accelerator or None) if first else None,
        accelerator_count=first.count if first else None,
        replicas=sum(pool.replicas for pool in found) if found else None,
        batch_size=fields.batch_size(job),
        model=fields.model_name(job, model),
        spot=fields.is_spot(job),
        strategy=fields.strategy(job),
        disk_gb=found[0].disk_gb if found else None,
        exit_code=ending.exit_code(job),
        timeout_seconds=ending.own_timeout_seconds(job),
        ran_into_timeout=ending.ran_into_timeout(job),
        part_timeout=ending.part_timeout(job),
        images=programs.images(job, model),
        cpu_image=programs.cpu_only_image(job, model),
        device_setting=programs.device_setting(settings),
        hides_gpus=programs.hides_gpus(settings),
        data_places=data_places.data_places(job, model),
    )


# Families that carry accelerators in the machine type itself, for types that no catalogue knows yet.
_BUILT_IN = late_pattern(r"(a2|a3|a4|g2|g4|ct\d)[a-z]*-")


def _first(job: Document, catalog: Catalog) -> Hardware | None:
    """The hardware that speaks for the job, with the accelerators that its machine type has built in."""
    found = machines.pools(job)
    if job.kind is JobKind.PIPELINE:
        died = {node.path for node in pipeline.failed(job)}
        found = tuple(pool for pool in found if pool.task in died)
        if not found:
            return _component(job)
    if not found:
        return None
    held = found[0].hardware
    if held.count:
        return held
    machine = catalog.machine(held.machine)
    if machine is not None:
        return Hardware(held.machine, machine.device, machine.devices) if machine.devices else held
    return Hardware(held.machine, held.accelerator, 1 if _BUILT_IN.match(held.machine) else 0)


def _component(job: Document) -> Hardware | None:
    """A container's accelerators: which machine takes them, Vertex finds."""
    listed = pipeline.failed(job) or pipeline.nodes(job)
    for node in listed:
        if containers.is_plain(job, node) and (held := containers.devices(job, node)).type:
            return Hardware("", held.type, held.count)
    return None


def _family_of(machine: str) -> str | None:
    return machine.rpartition("-")[0] or machine if machine else None
