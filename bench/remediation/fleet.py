"""Jobs whose true needs nobody is told: what the strategies have to work with (see PHYSICS.md).

Families of jobs recur, as a team's nightly jobs do: one image or model, needs that vary by a tenth.
Every draw comes from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.diagnosis.corpus import messages
from twin.physics import Needs, Section, Serving

PROJECT, NUMBER, REGION = "fleet", "471108150815", "us-central1"

Body = dict[str, Any]

# What share of the failures each kind of family makes up, in several mixes.
MIXES: Mapping[str, Mapping[str, float]] = {
    "even": {},
    "batch-heavy": {"too_large": 3, "wants_gpu": 3, "batch_memory": 3, "batch_gpu_memory": 2},
    "code-heavy": {"raises": 4, "bad_input": 3, "slow_code": 3, "permission": 2},
    "flaky": {"backend": 4, "backend_in_code": 3, "stockout": 4, "preempted": 4},
    "changing": {},
}
# In the mix `changing`, a family does not always fail by the same: on one day in five it is a bug.
_BUGGY_DAYS = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """One failure to come. `cause` is the truth; `needs` decide how every run of it ends.

    A stockout or a failing service passes `passes_hours` after the first run, tried or not; it
    `says` what a real one said.
    """

    index: int
    family: int
    kind: str
    cause: str
    body: Body
    model: Body | None
    needs: Needs
    telemetry: bool
    loses_metrics: bool
    loses_logs: bool
    passes_hours: float
    says: str


def build(seed: int, count: int, mix: str) -> list[Job]:
    """`count` jobs of about a tenth as many families, shuffled, each family's in turn."""
    chance = random.Random(f"{seed}/{mix}")
    weights = {name: MIXES[mix].get(name, 1.0) for name in _FAMILIES}
    families = []
    for number in range(max(len(_FAMILIES), count // 10)):
        name = (
            list(_FAMILIES)[number]
            if number < len(_FAMILIES)
            else chance.choices(list(weights), list(weights.values()))[0]
        )
        families.append((number, name, _FAMILIES[name](chance, number), weights[name]))
    jobs = []
    for index in range(count):
        number, _, made, _ = chance.choices(families, [one[3] for one in families])[0]
        cause, collection, body, model, needs = made
        if mix == "changing" and collection == "customJobs" and chance.random() < _BUGGY_DAYS:
            cause, *_, needs = _FAMILIES["raises"](chance, number)
        passing = cause in _PASSING
        jobs.append(
            Job(
                index=index,
                family=number,
                kind=collection,
                cause=cause,
                body=body,
                model=model,
                needs=_varied(needs, chance),
                telemetry=chance.random() < 0.1,
                loses_metrics=chance.random() < 0.1,
                loses_logs=chance.random() < 0.05,
                passes_hours=chance.uniform(0.05, 3.0 if cause == "capacity_stockout" else 1.5),
                says=random.Random(f"{seed}/{number}").choice(_PASSING[cause]) if passing else "",
            )
        )
    return jobs


def one_of(texts: Sequence[str], chance: random.Random) -> str:
    """One of the texts, for a single draw whatever their number: a corpus that grows changes what a job
    says and leaves what every job needs."""
    return random.Random(chance.random()).choice(texts)


def _said(cause: str, where: str) -> list[str]:
    return [
        row["text"][:1500]
        for name in ("messages", "held_out")
        for row in messages(name)
        if row["cause"] == cause and row["where"] == where and row["confidence"] == "high"
    ]


_PASSING: Mapping[str, list[str]] = {
    "transient_backend": _said("transient_backend", "job.error"),
    "capacity_stockout": _said("capacity_stockout", "job.error"),
}
"""Real messages of services that failed for a while, the ambiguous one among them."""


def _varied(needs: Needs, chance: random.Random) -> Needs:
    """The same program on another day's data: a tenth more or less of everything."""
    factor = chance.uniform(0.9, 1.1)
    sections = tuple(
        replace(
            one,
            cpu_seconds=one.cpu_seconds * factor,
            memory_gib=one.memory_gib * factor,
            wait_seconds=one.wait_seconds * factor,
        )
        for one in needs.sections
    )
    serving = replace(
        needs.serving,
        cpu_seconds=needs.serving.cpu_seconds * factor,
        memory_gib=needs.serving.memory_gib * factor,
    )
    return replace(needs, sections=sections, serving=serving, memory_gib=needs.memory_gib * factor)


# --- families --------------------------------------------------------------------------------------

Made = tuple[str, str, Body, "Body | None", Needs]


def _custom(
    chance: random.Random, number: int, *args: str, gpu: bool = False, **scheduling: Any
) -> Body:
    machine: Body = {"machineType": chance.choice(["n1-standard-4", "n1-standard-8"])}
    if gpu:
        machine |= {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
    return {
        "displayName": f"nightly-{number}",
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": machine,
                    "replicaCount": "1",
                    "containerSpec": {
                        "imageUri": f"us-docker.pkg.dev/lab/team/work{number}:3",
                        "args": list(args),
                    },
                }
            ],
            "scheduling": {"timeout": "7200s", **scheduling},
            "serviceAccount": f"team{number % 5}@fleet.iam.gserviceaccount.com",
        },
    }


def _batch(chance: random.Random, number: int) -> tuple[Body, Body]:
    model = f"projects/{NUMBER}/locations/{REGION}/models/{1000 + number}"
    body = {
        "displayName": f"score-{number}",
        "model": model,
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://fleet-{number}/in.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://fleet-{number}/out"},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": chance.choice(["n1-standard-4", "n1-standard-8"])},
            "startingReplicaCount": chance.choice([1, 2]),
            "maxReplicaCount": 10,
        },
    }
    image = f"us-docker.pkg.dev/lab/serving/model{number}:1"
    return body, {"name": model, "containerSpec": {"imageUri": image}}


def _memory(chance: random.Random, number: int) -> Made:
    body = _custom(chance, number)
    held = 15.0 if "n1-standard-4" in str(body) else 30.0
    need = held * chance.uniform(1.15, 3.2)
    needs = Needs(
        sections=(Section("load", cpu_seconds=chance.uniform(6_000, 20_000), memory_gib=need),)
    )
    return "memory_pressure", "customJobs", body, None, needs


def _cpu(chance: random.Random, number: int) -> Made:
    body = _custom(chance, number)
    vcpus = 4 if "n1-standard-4" in str(body) else 8
    work = 7200 * vcpus * chance.uniform(1.15, 3.2)
    section = Section("align", cpu_seconds=work, parallel=chance.uniform(0.97, 0.999))
    return "cpu_saturation", "customJobs", body, None, Needs(sections=(section,))


def _gpu_memory(chance: random.Random, number: int) -> Made:
    body = _custom(chance, number, gpu=True)
    needs = Needs(
        sections=(Section("train", cpu_seconds=200_000, gpu_seconds=chance.uniform(1800, 5000)),),
        gpu="required",
        gpu_memory_gib=chance.uniform(17, 22),
    )
    return "gpu_memory", "customJobs", body, None, needs


def _needs_gpu(chance: random.Random, number: int) -> Made:
    body = _custom(chance, number)
    needs = Needs(
        sections=(Section("train", cpu_seconds=200_000, gpu_seconds=chance.uniform(1200, 5000)),),
        gpu=chance.choice(["required", "wanted"]),
        gpu_memory_gib=chance.uniform(3, 12),
    )
    return "accelerator_missing", "customJobs", body, None, needs


def _too_large(chance: random.Random, number: int) -> Made:
    body, model = _batch(chance, number)
    serving = Serving(instances=chance.randrange(500, 3000), cpu_seconds=chance.uniform(45, 160))
    return "request_too_large", "batchPredictionJobs", body, model, Needs(serving=serving)


def _wants_gpu(chance: random.Random, number: int) -> Made:
    body, model = _batch(chance, number)
    serving = Serving(
        instances=chance.randrange(500, 3000),
        cpu_seconds=chance.uniform(80, 160),
        gpu_seconds=chance.uniform(0.2, 1.5),
    )
    needs = Needs(gpu="wanted", memory_gib=6, gpu_memory_gib=chance.uniform(3, 11), serving=serving)
    return "accelerator_missing", "batchPredictionJobs", body, model, needs


def _batch_memory(chance: random.Random, number: int) -> Made:
    body, model = _batch(chance, number)
    held = 15.0 if "n1-standard-4" in str(body) else 30.0
    by_instance = chance.random() < 0.6
    serving = Serving(
        instances=chance.randrange(500, 3000),
        cpu_seconds=chance.uniform(0.5, 3),
        memory_gib=held * chance.uniform(1.1, 2.6) / 64 if by_instance else 0.01,
    )
    loaded = 3.0 if by_instance else held * chance.uniform(1.1, 2.2)
    return (
        "memory_pressure",
        "batchPredictionJobs",
        body,
        model,
        Needs(memory_gib=loaded, serving=serving),
    )


def _batch_gpu_memory(chance: random.Random, number: int) -> Made:
    body, model = _batch(chance, number)
    body["dedicatedResources"]["machineSpec"] |= {
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 1,
    }
    serving = Serving(
        instances=chance.randrange(500, 3000),
        cpu_seconds=80,
        gpu_seconds=chance.uniform(0.2, 1.0),
        gpu_memory_gib=chance.uniform(0.2, 0.45),
    )
    needs = Needs(gpu="wanted", memory_gib=6, gpu_memory_gib=4, serving=serving)
    return "gpu_memory", "batchPredictionJobs", body, model, needs


def _startup(chance: random.Random, number: int) -> Made:
    body, model = _batch(chance, number)
    vcpus = 4 if "n1-standard-4" in str(body) else 8
    load = 2400 * vcpus * chance.uniform(1.1, 1.8)
    needs = Needs(load_cpu_seconds=load, serving=Serving(instances=800, cpu_seconds=1.0))
    return "slow_startup", "batchPredictionJobs", body, model, needs


def _lucky(cause: str, **luck: int) -> Callable[[random.Random, int], Made]:
    def make(chance: random.Random, number: int) -> Made:
        spot = {"strategy": "SPOT"} if "preemptions" in luck else {}
        body = _custom(chance, number, **spot)
        tries = {key: chance.randint(1, most) for key, most in luck.items()}
        needs = Needs(
            sections=(Section("work", cpu_seconds=chance.uniform(4_000, 15_000)),), **tries
        )
        return cause, "customJobs", body, None, needs

    return make


def _backend_in_code(chance: random.Random, number: int) -> Made:
    """Another service fails for a while, and the program gives up on it."""
    words = one_of(_said("transient_backend", "log.textPayload"), chance)
    needs = Needs(
        sections=(Section("work", cpu_seconds=chance.uniform(4_000, 15_000)),),
        raises=words,
        raises_after=chance.random(),
    )
    return "transient_backend", "customJobs", _custom(chance, number), None, needs


def _slow_code(chance: random.Random, number: int) -> Made:
    section = Section("normalise", cpu_seconds=chance.uniform(30_000, 60_000), parallel=0.0)
    needs = Needs(sections=(Section("read", cpu_seconds=900, parallel=0.8), section))
    return "slow_code", "customJobs", _custom(chance, number), None, needs


def _far_data(chance: random.Random, number: int) -> Made:
    source = f"https://data{number}.partner.example/reference"
    body = _custom(chance, number, f"--reference={source}")
    section = Section(
        "fetch",
        cpu_seconds=60,
        wait_seconds=chance.uniform(15_000, 40_000),
        waits_for=source,
        received_mib=900,
        fetches=60,
    )
    needs = Needs(sections=(section, Section("call", cpu_seconds=9_000, parallel=0.9)))
    return "network_latency", "customJobs", body, None, needs


def _raising(cause: str) -> Callable[[random.Random, int], Made]:
    def make(chance: random.Random, number: int) -> Made:
        real = [
            row["text"]
            for name in ("messages", "held_out")
            for row in messages(name)
            if row["cause"] == cause and row["where"].startswith(("log", "exception"))
        ]
        section = Section("work", cpu_seconds=chance.uniform(4_000, 15_000))
        needs = Needs(
            sections=(section,), raises=one_of(real, chance)[:1500], raises_after=chance.random()
        )
        return cause, "customJobs", _custom(chance, number), None, needs

    return make


def _bad_rows(chance: random.Random, number: int) -> Made:
    body, model = _batch(chance, number)
    serving = Serving(instances=900, cpu_seconds=0.2, bad_instances=900)
    return "bad_input", "batchPredictionJobs", body, model, Needs(serving=serving)


_FAMILIES: Mapping[str, Callable[[random.Random, int], Made]] = {
    "memory": _memory,
    "cpu": _cpu,
    "gpu_memory": _gpu_memory,
    "needs_gpu": _needs_gpu,
    "too_large": _too_large,
    "wants_gpu": _wants_gpu,
    "batch_memory": _batch_memory,
    "batch_gpu_memory": _batch_gpu_memory,
    "startup": _startup,
    "backend": _lucky("transient_backend", backend_errors=2),
    "backend_in_code": _backend_in_code,
    "stockout": _lucky("capacity_stockout", stockouts=3),
    "preempted": _lucky("preemption", preemptions=4),
    "slow_code": _slow_code,
    "far_data": _far_data,
    "raises": _raising("user_code_error"),
    "bad_input": _raising("bad_input"),
    "permission": _raising("permission"),
    "config": _raising("invalid_config"),
    "bad_rows": _bad_rows,
}
