"""What a person can do about each cause, and where Google (or the software's makers) say so.

Owns the sentence for each cause, and the choice of advice: that of the rule which the message fits
(`advice_rules`), with the message's own values; else what the needs or a frame of the code say; else
the cause's sentence, without what nobody can follow. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediator.diagnosis.advice_rules import advice_of, advice_with_needs
from remediator.diagnosis.weighted_evidence import WeightedEvidence
from remediator.domain import Cause, Frame, JobKind, Needs, RankedCause
from remediator.job import Job

_VERTEX = "https://cloud.google.com/vertex-ai/docs"
_TROUBLE = f"{_VERTEX}/general/troubleshooting"
_TRAIN_ERRORS = f"{_VERTEX}/training/understanding-training-service"

_ADVICE: dict[Cause, tuple[str, str]] = {
    Cause.CPU_SATURATION: (
        (
            "Give the job more vCPUs or more replicas, or a longer time-out; look whether the hot part "
            "can run on an accelerator."
        ),
        f"{_VERTEX}/training/configure-compute",
    ),
    Cause.MEMORY_PRESSURE: (
        (
            "Use a machine type with more memory (a highmem one costs least), start fewer workers or "
            "data loaders, and read the data in pieces. Part of a machine's memory is the system's."
        ),
        _TRAIN_ERRORS,
    ),
    Cause.GPU_MEMORY: (
        (
            "Make the batch smaller, or use an accelerator with more memory; mixed precision and "
            "gradient checkpointing need less."
        ),
        "https://pytorch.org/docs/stable/notes/cuda.html#memory-management",
    ),
    Cause.DISK_FULL: (
        (
            "Give the job a larger boot disk (diskSpec.bootDiskSizeGb, 100 GB unless set), keep fewer "
            "checkpoints, and write results to Cloud Storage as they are made. The container of a "
            "model has no disk that can be set: there, write less."
        ),
        f"{_VERTEX}/training/configure-compute#boot_disk_options",
    ),
    Cause.ACCELERATOR_MISSING: (
        (
            "Add an accelerator to the job; the image must carry NVIDIA's libraries, on PATH and "
            "LD_LIBRARY_PATH. If the model is meant for CPUs, use an image built for CPUs."
        ),
        f"{_VERTEX}/training/configure-compute#specifying_gpus",
    ),
    Cause.SLOW_STARTUP: (
        (
            "Make the model load faster (smaller files, nothing downloaded at start-up), or use a "
            "bigger machine, or allow a longer start-up probe in the Model version. Run the container "
            "locally and ask its health route."
        ),
        f"{_VERTEX}/predictions/get-batch-predictions",
    ),
    Cause.NETWORK_LATENCY: (
        (
            "Keep job and data in one region, copy what comes from outside to Cloud Storage once, and "
            "fetch in parallel. If the host is outside Google, see that the network lets the job reach "
            "it."
        ),
        "https://cloud.google.com/storage/docs/locations",
    ),
    Cause.SLOW_CODE: (
        (
            "Profile the section named in the evidence and vectorise or parallelise it; a bigger "
            "machine would idle just the same."
        ),
        f"{_VERTEX}/training/cloud-profiler",
    ),
    Cause.REQUEST_TOO_LARGE: (
        (
            "Send fewer or smaller instances in one request (batch_size, 64 unless set); if one "
            "instance alone is too much, a faster machine, an accelerator, or a server that answers "
            "102 meanwhile."
        ),
        _TROUBLE,
    ),
    Cause.CAPACITY_STOCKOUT: (
        (
            "Try again later, in another region that holds the data, or with another machine or "
            "accelerator; on-demand instead of spot. A reservation or flex-start holds capacity."
        ),
        _TRAIN_ERRORS,
    ),
    Cause.QUOTA: (
        (
            "Ask for more of the quota that the message names, run fewer jobs at once, or use a region "
            "where it is free."
        ),
        f"{_VERTEX}/quotas",
    ),
    Cause.PREEMPTION: (
        (
            "Run it again; write checkpoints so that little is lost, and use on-demand machines where "
            "the job must end in time."
        ),
        f"{_VERTEX}/training/use-spot-vms",
    ),
    Cause.TRANSIENT_BACKEND: (
        (
            "Run it again after a while. If it keeps failing in the same way, it is not transient: "
            "look at the image and the configuration, and at Google's status page."
        ),
        "https://status.cloud.google.com/",
    ),
    Cause.BAD_INPUT: (
        (
            "Fix the input: see that the path exists and is readable, and that each row has the form "
            "the model expects. Running it again changes nothing."
        ),
        f"{_VERTEX}/predictions/get-batch-predictions#input_data_requirements",
    ),
    Cause.USER_CODE_ERROR: (
        (
            "Fix the code (or the image's packages) where the message points, and try it locally with "
            "a small input. Running it again changes nothing."
        ),
        f"{_VERTEX}/training/monitor-debug-interactive-shell",
    ),
    Cause.PERMISSION: (
        (
            "Grant the role that the message names to the account that it names (the job's service "
            "account, or Vertex's own service agent), or let the job run as another account."
        ),
        f"{_VERTEX}/general/access-control",
    ),
    Cause.INVALID_CONFIG: (
        (
            "Change the job's configuration as the message asks (machine, accelerator, region, image, "
            "network); as it stands it can never run."
        ),
        _TROUBLE,
    ),
    Cause.UNKNOWN: (
        "Look at the job's logs; a worker whose account may not write logs leaves none.",
        _TROUBLE,
    ),
}


def advice_for(cause: Cause) -> tuple[str, str]:
    """What a person can do about `cause`, and a link to documentation."""
    return _ADVICE[cause]


def advised(
    ranked: Sequence[RankedCause],
    signs: Sequence[WeightedEvidence],
    job: Job,
    needs: Needs,
    frame: Frame | None,
) -> tuple[RankedCause, ...]:
    """The causes, each with the advice that its own evidence allows."""
    return tuple(_with_advice(one, signs, job, needs, frame) for one in ranked)


def _with_advice(
    one: RankedCause, signs: Sequence[WeightedEvidence], job: Job, needs: Needs, frame: Frame | None
) -> RankedCause:
    spoke = sorted(
        (s for s in signs if s.cause is one.cause and s.weight > 0), key=lambda s: -s.weight
    )
    texts = dict.fromkeys(text for s in spoke for text in (s.text, s.evidence.says) if text)
    text, url = advice_for(one.cause)
    by_needs = advice_with_needs(one.cause, needs, frame)
    by_rule = advice_of(one.cause, texts, job)
    if by_needs is not None and (by_rule is None or one.cause in _NEEDS_FIRST):
        return replace(one, advice=by_needs, advice_url=url)
    if by_rule is not None:
        return replace(one, advice=by_rule[0], advice_url=by_rule[1] or url)
    return replace(one, advice=_followable(text, job), advice_url=url)


_NEEDS_FIRST = frozenset({Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY})
_LOCALLY = (
    ", and try it locally with a small input",
    " Run the container locally and ask its health route.",
)
_GOOGLES_IMAGES = ("docker.pkg.dev/vertex-ai", "gcr.io/cloud-aiplatform", "gcr.io/ml-pipeline")


def _followable(text: str, job: Job) -> str:
    """Without what nobody can do: Google's own image cannot be fixed, nor run elsewhere."""
    if is_managed(job) or any(own in image for image in job.images() for own in _GOOGLES_IMAGES):
        for words in _LOCALLY:
            text = text.replace(words, "")
    return text


def is_managed(job: Job) -> bool:
    """Google runs a model of its own here (AutoML, Gemini and other publishers' models): there is no
    container whose lines, load or telemetry anybody could see."""
    gemini = job.kind is JobKind.BATCH_PREDICTION and "publishers/" in job.model_path
    return gemini or job.is_automl
