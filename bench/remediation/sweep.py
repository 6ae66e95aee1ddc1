"""Plans of 10,000 attempts and more, none of which may lose what no policy names.

    python bench/remediation/sweep.py [--attempts 10000] [--seed 1]

Plans alone, no simulated runs: a failed job is drawn (the jobs of the other fleets, and one on each machine,
accelerator and count that the catalogue has for training, TPUs among them), and the policy's whole ladder is
walked, as if each attempt failed by the same verdict again. Every verdict that may resubmit is given to every
job, the wrong ones too: a loss must not hang on the diagnosis. Five files: the shipped one in enforce, one that
also allows A100s, one whose lists stand only where hardware is chosen, one without lists, and the example
that takes larger GPUs where host memory ran out. Of each planned attempt it is asked, by the catalogue and by where the job's
buckets lie, whether it has fewer devices than the first job, devices with less memory, another topology's
chips, a smaller partition, fewer replicas, or a place that the data is not in. Exit 1 where one does.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.remediation import strangers, wide
from bench.remediation.lists import ROOT, policies
from bench.remediation.requests import machine_spec
from bench.remediation.world import CATALOGUE
from remediator import policy
from remediator.case import Case
from remediator.catalog import growth
from remediator.catalog.catalog import Hardware, Service
from remediator.domain import (
    NEVER_RETRIED,
    Action,
    Attempt,
    Cause,
    Diagnosis,
    Evidence,
    History,
    RankedCause,
    Source,
)
from remediator.job import Job
from remediator.planning import plan
from remediator.planning.regions import covers
from remediator.policy import Policies

VERDICTS = tuple(cause for cause in Cause if cause not in NEVER_RETRIED)
TOPOLOGIES = {
    "ct5lp-hightpu-4t": ("2x2", "4x4"),
    "ct6e-standard-4t": ("2x2", "2x4"),
    "ct5p-hightpu-4t": ("2x2x1",),
}
"""Of TPU machines: slices of one machine and of several (cloud.google.com/tpu/docs)."""
PARTITIONS = {
    "NVIDIA_TESLA_A100": "2g.10gb",
    "NVIDIA_A100_80GB": "3g.40gb",
    "NVIDIA_H100_80GB": "1g.10gb",
}
AREAS = {"us": "US", "europe": "EU", "asia": "ASIA"}
_OF_A_SEED = 40  # jobs; chosen
STARTED = datetime(2026, 10, 1, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed job and where its buckets lie."""

    case: Case
    buckets: dict[str, str]


def larger_gpus() -> Policies:
    """The example that answers a want of host memory with larger GPUs, in enforce."""
    text = (ROOT / "docs/examples/policies/larger-gpus.yaml").read_text()
    loaded = policy.load(text.replace("\nmode: observe", "\nmode: enforce"), catalog=CATALOGUE)
    return loaded.require()


def without_lists() -> Policies:
    """The shipped file in enforce, with no list of machines or accelerators."""
    lines = (ROOT / "policies.yaml").read_text().replace("\nmode: observe", "\nmode: enforce")
    kept = [
        line
        for line in lines.replace(
            ": [batch_prediction]", ": [batch_prediction, custom]"
        ).splitlines()
        if not line.startswith(("  machine_types:", "  accelerators:"))
    ]
    loaded = policy.load("\n".join(kept), "policies.yaml", catalog=CATALOGUE)
    assert loaded.policies is not None, loaded.render()
    return loaded.policies


# --- jobs --------------------------------------------------------------------------------------------


def of_fleets(seed: int) -> Iterator[Failure]:
    """The first failures of the wide and the strangers' fleets."""
    for fleet in (wide, strangers):
        for job in fleet.build(seed, 150, "even"):
            ran = fleet.run(job, job.body, 1, fleet.first_at(job))
            if not ran.succeeded:
                case = fleet.case_of(ran, ran.ended + timedelta(minutes=7))
                yield Failure(case, dict(case.buckets))


def of_catalogue(seed: int) -> Iterator[Failure]:
    """A job on each hardware that training takes, in a region that offers it."""
    chance = random.Random(f"sweep/{seed}")
    for number, hardware in enumerate(_hardware()):
        regions = [
            r for r in sorted(CATALOGUE.offers) if CATALOGUE.offered(hardware, r, Service.TRAINING)
        ]
        region = chance.choice(regions or ["us-central1"])
        area = AREAS.get(region.partition("-")[0], region.upper())
        place = chance.choice([area, region.upper()])
        spec = machine_spec(hardware)
        if hardware.accelerator in PARTITIONS and chance.random() < 0.2:
            spec["gpuPartitionSize"] = PARTITIONS[hardware.accelerator]
        if slices := TOPOLOGIES.get(hardware.machine):
            spec["tpuTopology"] = chance.choice(slices)
        pools = [_pool(spec, f"sweep-{number}", 1)]
        if not slices and chance.random() < 0.3:
            pools.append(_pool(spec, f"sweep-{number}", chance.choice((1, 3))))
        strategy = {"strategy": "SPOT"} if chance.random() < 0.3 else {}
        body = {
            "name": f"projects/7/locations/{region}/customJobs/{10**9 + number}",
            "displayName": f"sweep-{number}",
            "state": "JOB_STATE_FAILED",
            "createTime": STARTED.isoformat(),
            "startTime": (STARTED + timedelta(minutes=3)).isoformat(),
            "endTime": (STARTED + timedelta(minutes=chance.choice((9, 45, 180)))).isoformat(),
            "error": {"code": 3, "message": "The replica workerpool0-0 exited with a non-zero status of 1."},
            "jobSpec": {"workerPoolSpecs": pools, "scheduling": {"timeout": "14400s", **strategy}},
        }  # fmt: skip
        known = {"job": body, "buckets": {f"sweep-{number}": {"location": place}}}
        yield Failure(Case.parse(known), {f"sweep-{number}": place})


def _pool(spec: dict[str, Any], name: str, replicas: int) -> dict[str, Any]:
    return {
        "machineSpec": dict(spec),
        "replicaCount": str(replicas),
        "containerSpec": {
            "imageUri": f"us-docker.pkg.dev/lab/{name}:1",
            "args": [f"--data=gs://{name}/in"],
        },
    }


def _hardware() -> Iterator[Hardware]:
    for machine in CATALOGUE.machines.values():
        if Service.TRAINING not in machine.services or not machine.vcpus:
            continue
        if machine.device:
            yield growth.bare(machine)
            continue
        yield Hardware(machine.name)
        for device in CATALOGUE.accelerators:
            for count in CATALOGUE.allowed_counts(machine.name, device, Service.TRAINING):
                yield Hardware(machine.name, device, count)


# --- ladders -----------------------------------------------------------------------------------------


def ladder(
    failure: Failure, verdict: Cause, file: Policies
) -> Iterator[tuple[Job, tuple[str, ...]]]:
    """Each attempt that the policy would make, with the fields it changes; each fails as the first did."""
    case, made, spent = failure.case, [], 0.0
    for number in range(1, 16):
        found = _diagnosis(case.job, verdict)
        history = History(attempts=tuple(made), root=str(failure.case.job.name), usd_this_job=spent)
        planned = plan(case, found, file, history, CATALOGUE, waited=True)
        if planned.action is not Action.RESUBMIT or planned.request is None:
            return
        parent, collection, _ = str(case.job.name).rsplit("/", 2)
        place = f"{parent.rpartition('/')[0]}/{planned.location}"
        name = f"{place}/{collection}/{10**9 + number}"
        job = Job.parse({**failure.case.job.to_json(), **planned.request, "name": name})
        yield job, tuple(change.field for change in planned.changes)
        made.append(
            Attempt(
                name=str(job.name), state=job.state, create_time=case.now, policy=planned.policy,
                step=planned.step, verdict=verdict.value, changes=planned.changes, number=number,
                estimated_usd=planned.estimated_usd, entry=planned.entry,
            )
        )  # fmt: skip
        spent += planned.estimated_usd or 0.0
        case = replace(case, job=job, attempts=tuple(made))


def walked(
    failure: Failure, files: Mapping[str, Policies]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each attempt on each file's ladder under each verdict, with what it loses; a loss is printed."""
    first = failure.case.job
    for name, file in files.items():
        for verdict in VERDICTS:
            for attempt, fields in ladder(failure, verdict, file):
                found = losses(first, attempt, failure.buckets)
                if found:
                    on = f"{attempt.pools[0].hardware} in {attempt.name.location}"
                    print(name, verdict.value, first.pools[0].hardware, "->", on, found, fields)
                yield name, found


def _drawn(seed: int) -> Iterator[tuple[int, Failure]]:
    """Failures without end, each with its seed, so many of a seed, chosen by chance."""
    for number in itertools.count(seed):
        failures = [*of_fleets(number), *of_catalogue(number)]
        random.Random(number).shuffle(failures)
        yield from ((number, failure) for failure in failures[:_OF_A_SEED])


def _diagnosis(job: Job, verdict: Cause) -> Diagnosis:
    evidence = Evidence(Source.JOB, "error", job.error_message)
    known = (RankedCause(verdict, 0.95, (evidence,)),) if verdict is not Cause.UNKNOWN else ()
    return Diagnosis(str(job.name), job.kind, verdict, known)


def losses(first: Job, now: Job, buckets: dict[str, str]) -> tuple[str, ...]:
    """What an attempt has less of than the first job, by the catalogue; see the module."""
    lost = []
    for was, has in zip(first.pools, now.pools, strict=True):
        device, count = growth.devices_of(CATALOGUE, was.hardware)
        other, counted = growth.devices_of(CATALOGUE, has.hardware)
        if counted < count:
            lost.append("devices")
        if count and _gib(other) < _gib(device):
            lost.append("device memory")
        if _chips(has.topology) < _chips(was.topology):
            lost.append("topology")
        if was.partition and has.partition and _slice(has.partition) < _slice(was.partition):
            lost.append("partition")
        if has.replicas < was.replicas:
            lost.append("replicas")
    here, there = first.name.location, now.name.location
    near = all(
        covers(place.lower(), there) or not covers(place.lower(), here)
        for place in buckets.values()
    )
    if not near:
        lost.append("locality")
    return tuple(lost)


def _gib(device: str) -> float:
    known = CATALOGUE.accelerators.get(device)
    return (known.memory_gib or 0.0) if known else 0.0


def _chips(topology: str) -> int:
    product = 1
    for part in topology.split("x") if topology else ():
        product *= int(part)
    return product


def _slice(partition: str) -> int:
    return int(partition.partition(".")[2].rstrip("gbme+"))


def main() -> int:
    """Prints the counts; 1 where an attempt loses something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=10_000, help="plan at least so many")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    files = {
        "shipped": policies(),
        "A100s allowed": policies(wide=True),
        "lists where hardware is chosen": policies(wide=True, own=True),
        "without lists": without_lists(),
        "larger GPUs for host memory": larger_gpus(),
    }
    counts, lost, jobs = Counter[str](), Counter[str](), Counter[int]()
    for seed, failure in _drawn(asked.seed):
        jobs[seed] += 1
        for name, found in walked(failure, files):
            counts[name] += 1
            lost.update(found)
        if sum(counts.values()) >= asked.attempts:
            break
    print(
        f"{sum(counts.values())} planned attempts of {jobs.total()} jobs, {len(VERDICTS)} "
        f"verdicts, seeds {min(jobs)} to {max(jobs)}"
    )
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))
    print(f"attempts that lose: {dict(lost) or 0}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
