"""The field's stories, as jobs with needs and evidence: what the demo plays.

A story tells the twin what a workload really takes and what has already happened to it, and tells
the reader how it should end. Names, order and ids come from a seed and say nothing of the story.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from twin.clock import rfc3339
from twin.cloud import Cloud
from twin.physics import Needs, Section, Serving

_WORDS = (
    *("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "harbor", "indigo"),
    *("juniper", "kestrel", "lagoon", "maple", "nimbus", "orchid", "pebble", "quartz", "raven"),
)


@dataclass(frozen=True)
class Expected:
    """How a story ends: verdict and action of the outcome log, jobs created, words in the alert."""

    verdict: str
    action: str
    recovers: bool
    creates: int
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Story:
    """One story: `tell` puts it into the cloud under a display name and answers the failed job."""

    title: str
    expected: Expected
    tell: Callable[[Cloud, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Told:
    """A story under way."""

    story: Story
    display_name: str
    job: str


def tell_all(cloud: Cloud, seed: int, only: int | None = None) -> list[Told]:
    """Every story, in an order and under names that the seed decides."""
    chance = random.Random(seed)
    stories = list(STORIES[:only])
    chance.shuffle(stories)
    names = chance.sample(_WORDS, len(stories))
    cloud.storage.bucket("lab-reads", "US-CENTRAL1")
    told = []
    for story, word in zip(stories, names, strict=True):
        name = f"{word}-{chance.randrange(100, 999)}"
        told.append(Told(story, name, str(story.tell(cloud, name)["name"])))
    return told


# --- custom jobs -------------------------------------------------------------------------------


def _custom(name: str, *args: str, machine: str = "n1-standard-8") -> dict[str, Any]:
    return {
        "displayName": name,
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": machine},
                    "replicaCount": "1",
                    "containerSpec": {
                        "imageUri": f"us-docker.pkg.dev/lab/{name}/work:3",
                        "args": list(args),
                    },
                }
            ],
            "scheduling": {"timeout": "7200s"},
            "serviceAccount": "pipelines@genomics-lab.iam.gserviceaccount.com",
        },
    }


def _starved(cloud: Cloud, name: str) -> Mapping[str, Any]:
    needs = Needs(sections=(Section("align", cpu_seconds=80_000, parallel=0.99),))
    return cloud.past_job("customJobs", _custom(name, "--in=gs://lab-reads/batch-7"), needs)


def _far_away(cloud: Cloud, name: str) -> Mapping[str, Any]:
    cloud.storage.bucket(f"{name}-archive", "EUROPE-WEST4")
    source = f"{cloud.host.url}/reference/hg38"
    body = _custom(name, f"--reads=gs://{name}-archive/reads", f"--reference={source}")
    needs = Needs(
        sections=(
            Section(
                "fetch", cpu_seconds=60, wait_seconds=6_800, waits_for=source, received_mib=900
            ),
            Section("call", cpu_seconds=9_000, parallel=0.9),
        )
    )
    return cloud.past_job("customJobs", body, needs)


def _slow_loop(cloud: Cloud, name: str) -> Mapping[str, Any]:
    needs = Needs(
        sections=(
            Section("read", cpu_seconds=900, parallel=0.8),
            Section("normalise", cpu_seconds=9_500, parallel=0.0),
            Section("write", cpu_seconds=400, parallel=0.8),
        )
    )
    return cloud.past_job("customJobs", _custom(name, "--in=gs://lab-reads/batch-9"), needs)


def _already_rerun(cloud: Cloud, name: str) -> Mapping[str, Any]:
    body = _custom(name, "--in=gs://lab-reads/batch-12")
    needs = Needs(sections=(Section("align", cpu_seconds=80_000, parallel=0.99),))
    failed = cloud.past_job("customJobs", body, needs, ended_ago=1800.0, route=False)
    began = cloud.clock.now() - timedelta(seconds=1500)
    again = _custom(name, "--in=gs://lab-reads/batch-12", machine="n1-standard-32")
    cloud.add_job(
        {
            **again,
            "name": cloud.name("customJobs", str(7_000_000_000 + sum(map(ord, name)))),
            "state": "JOB_STATE_SUCCEEDED",
            "createTime": rfc3339(began),
            "startTime": rfc3339(began + timedelta(seconds=70)),
            "endTime": rfc3339(began + timedelta(seconds=900)),
        }
    )
    return failed


# --- batch predictions -------------------------------------------------------------------------


def _batch(cloud: Cloud, name: str, model: str, source: str) -> dict[str, Any]:
    return {
        "displayName": name,
        "model": model,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [source]}},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{name}-out/run"},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": "n1-standard-8"},
            "startingReplicaCount": 2,
            "maxReplicaCount": 10,
        },
        "serviceAccount": f"models@{cloud.project}.iam.gserviceaccount.com",
    }


def _model(cloud: Cloud, name: str, image: str) -> str:
    number = str(sum(ord(letter) * 31**place for place, letter in enumerate(name[:12])))
    return cloud.add_model(
        number,
        displayName=f"{name}-model",
        containerSpec={"imageUri": image, "predictRoute": "/predict", "healthRoute": "/health"},
    )


def _buckets(cloud: Cloud, name: str, rows: int = 3) -> str:
    """Where a batch reads and writes; its input has as many rows as the story says that it has."""
    cloud.storage.bucket(f"{name}-in", "US-CENTRAL1")
    cloud.storage.bucket(f"{name}-out", "US-CENTRAL1")
    source = f"gs://{name}-in/instances.jsonl"
    cloud.storage.put(f"{name}-in", "instances.jsonl", '{"text": "…"}\n' * rows)
    return source


def _wants_gpu(cloud: Cloud, name: str) -> Mapping[str, Any]:
    model = _model(cloud, name, "us-docker.pkg.dev/lab/serving/torch:2.4")
    needs = Needs(
        gpu="wanted",
        memory_gib=6,
        gpu_memory_gib=5,
        serving=Serving(instances=4000, cpu_seconds=95, gpu_seconds=0.35),
    )
    body = _batch(cloud, name, model, _buckets(cloud, name, rows=4000))
    return cloud.past_job("batchPredictionJobs", body, needs)


def _too_much(cloud: Cloud, name: str) -> Mapping[str, Any]:
    # Rows enough for several requests; with more of them the new job outlasts what the clock can catch up.
    model = _model(cloud, name, "us-docker.pkg.dev/lab/serving/trees:1.9")
    needs = Needs(memory_gib=3, serving=Serving(instances=500, cpu_seconds=70))
    body = _batch(cloud, name, model, _buckets(cloud, name, rows=500))
    return cloud.past_job("batchPredictionJobs", body, needs)


def _no_input(cloud: Cloud, name: str) -> Mapping[str, Any]:
    model = _model(cloud, name, "us-docker.pkg.dev/lab/serving/trees:1.9")
    _buckets(cloud, name)
    body = _batch(cloud, name, model, f"gs://{name}-in/2026-11-22/instances.jsonl")
    return cloud.past_job("batchPredictionJobs", body, Needs())


STORIES: tuple[Story, ...] = (
    Story(
        "a custom job with full CPUs, ended by its time-out",
        Expected("cpu_saturation", "resubmit", True, 1, ("n1-standard-16",)),
        _starved,
    ),
    Story(
        "a batch prediction whose GPU model runs on CPUs (504)",
        Expected("accelerator_missing", "resubmit", True, 1, ("NVIDIA_TESLA_T4",)),
        _wants_gpu,
    ),
    Story(
        "a batch prediction with too much in one request (504)",
        Expected("request_too_large", "resubmit", True, 1, ("32",)),
        _too_much,
    ),
    Story(
        "a job that waits for data far away",
        Expected("network_latency", "alert", False, 0, ("EUROPE-WEST4",)),
        _far_away,
    ),
    Story(
        "a job whose own loop is slow",
        Expected("slow_code", "alert", False, 0, ("normalise",)),
        _slow_loop,
    ),
    Story(
        "a batch prediction without its input file",
        Expected("bad_input", "alert", False, 0, ("2026-11-22/instances.jsonl",)),
        _no_input,
    ),
    Story(
        "a job that an orchestrator has already run again",
        Expected("cpu_saturation", "alert", False, 0, ("already",)),
        _already_rerun,
    ),
)
