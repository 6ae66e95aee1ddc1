"""What a person can do about each cause: in an alert's next step, and at length with a diagnosis.

Owns both forms and the documentation behind them, Google's or the software's makers'. Pure; called by
diagnosis, which may know better from the evidence, and by alerts.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from remediator.domain.names import Cause


class CauseAdvice(Struct, frozen=True):
    """`next_step` is one short sentence, `text` what a diagnosis says, `url` documentation."""

    next_step: str
    text: str
    url: str


_VERTEX = "https://cloud.google.com/vertex-ai/docs"
_TROUBLE = f"{_VERTEX}/general/troubleshooting"
_TRAIN_ERRORS = f"{_VERTEX}/training/understanding-training-service"

ADVICE: Mapping[Cause, CauseAdvice] = {
    Cause.CPU_SATURATION: CauseAdvice(
        "Give it a bigger machine, more replicas, an accelerator or more time.",
        (
            "Give the job more vCPUs or more replicas, or a longer time-out; look whether the hot part "
            "can run on an accelerator."
        ),
        f"{_VERTEX}/training/configure-compute",
    ),
    Cause.MEMORY_PRESSURE: CauseAdvice(
        "Give it a machine with more memory, or a smaller batch.",
        (
            "Use a machine type with more memory (a highmem one costs least), start fewer workers or "
            "data loaders, and read the data in pieces. Part of a machine's memory is the system's."
        ),
        _TRAIN_ERRORS,
    ),
    Cause.GPU_MEMORY: CauseAdvice(
        "Use a smaller batch, or an accelerator with more memory.",
        (
            "Make the batch smaller, or use an accelerator with more memory; mixed precision and "
            "gradient checkpointing need less."
        ),
        "https://pytorch.org/docs/stable/notes/cuda.html#memory-management",
    ),
    Cause.DISK_FULL: CauseAdvice(
        "Give it a larger boot disk, or write less to the local disk.",
        (
            "Give the job a larger boot disk (diskSpec.bootDiskSizeGb, 100 GB unless set), keep fewer "
            "checkpoints, and write results to Cloud Storage as they are made. The container of a "
            "model has no disk that can be set: there, write less."
        ),
        f"{_VERTEX}/training/configure-compute#boot_disk_options",
    ),
    Cause.ACCELERATOR_MISSING: CauseAdvice(
        "Add an accelerator, or use an image that does not need one.",
        (
            "Add an accelerator to the job; the image must carry NVIDIA's libraries, on PATH and "
            "LD_LIBRARY_PATH. If the model is meant for CPUs, use an image built for CPUs."
        ),
        f"{_VERTEX}/training/configure-compute#specifying_gpus",
    ),
    Cause.SLOW_STARTUP: CauseAdvice(
        "Use a bigger machine, or give the start-up probe of the model more time.",
        (
            "Make the model load faster (smaller files, nothing downloaded at start-up), or use a "
            "bigger machine, or allow a longer start-up probe in the Model version. Run the container "
            "locally and ask its health route."
        ),
        f"{_VERTEX}/predictions/get-batch-predictions",
    ),
    Cause.NETWORK_LATENCY: CauseAdvice(
        "Move the data into the job's region, or cache what it fetches.",
        (
            "Keep job and data in one region, copy what comes from outside to Cloud Storage once, and "
            "fetch in parallel. If the host is outside Google, see that the network lets the job reach "
            "it."
        ),
        "https://cloud.google.com/storage/docs/locations",
    ),
    Cause.SLOW_CODE: CauseAdvice(
        "Profile the section named above and vectorise it; a bigger machine will not help.",
        (
            "Profile the section named in the evidence and vectorise or parallelise it; a bigger "
            "machine would idle just the same."
        ),
        f"{_VERTEX}/training/cloud-profiler",
    ),
    Cause.REQUEST_TOO_LARGE: CauseAdvice(
        "Use a smaller batch size.",
        (
            "Send fewer or smaller instances in one request (batch_size, 64 unless set); if one "
            "instance alone is too much, a faster machine, an accelerator, or a server that answers "
            "102 meanwhile."
        ),
        _TROUBLE,
    ),
    Cause.CAPACITY_STOCKOUT: CauseAdvice(
        "Try again later, or use another machine or region.",
        (
            "Try again later, in another region that holds the data, or with another machine or "
            "accelerator; on-demand instead of spot. A reservation or flex-start holds capacity."
        ),
        _TRAIN_ERRORS,
    ),
    Cause.QUOTA: CauseAdvice(
        "Ask for more of the quota named above, or try again when others are done.",
        (
            "Ask for more of the quota that the message names, run fewer jobs at once, or use a region "
            "where it is free."
        ),
        f"{_VERTEX}/quotas",
    ),
    Cause.PREEMPTION: CauseAdvice(
        "Run it again; on standard machines if it happens often.",
        (
            "Run it again; write checkpoints so that little is lost, and use on-demand machines where "
            "the job must end in time."
        ),
        f"{_VERTEX}/training/use-spot-vms",
    ),
    Cause.TRANSIENT_BACKEND: CauseAdvice(
        "Run it again later.",
        (
            "Run it again after a while. If it keeps failing in the same way, it is not transient: "
            "look at the image and the configuration, and at Google's status page."
        ),
        "https://status.cloud.google.com/",
    ),
    Cause.BAD_INPUT: CauseAdvice(
        "Put the input right, then run the job again.",
        (
            "Fix the input: see that the path exists and is readable, and that each row has the form "
            "the model expects. Running it again changes nothing."
        ),
        f"{_VERTEX}/predictions/get-batch-predictions#input_data_requirements",
    ),
    Cause.USER_CODE_ERROR: CauseAdvice(
        "Fix the code, then run the job again.",
        (
            "Fix the code (or the image's packages) where the message points, and try it locally with "
            "a small input. Running it again changes nothing."
        ),
        f"{_VERTEX}/training/monitor-debug-interactive-shell",
    ),
    Cause.PERMISSION: CauseAdvice(
        "Grant the permission named above, then run the job again.",
        (
            "Grant the role that the message names to the account that it names (the job's service "
            "account, or Vertex's own service agent), or let the job run as another account."
        ),
        f"{_VERTEX}/general/access-control",
    ),
    Cause.INVALID_CONFIG: CauseAdvice(
        "Put the configuration right, then run the job again.",
        (
            "Change the job's configuration as the message asks (machine, accelerator, region, image, "
            "network); as it stands it can never run."
        ),
        _TROUBLE,
    ),
    Cause.UNKNOWN: CauseAdvice(
        "Read the logs; nothing was done because the cause is not known.",
        "Look at the job's logs; a worker whose account may not write logs leaves none.",
        _TROUBLE,
    ),
}
