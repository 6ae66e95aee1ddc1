"""docs/time-outs.md: ten shown cases of each family, with the alert that each gives.

`python -m tests.rule_cases > docs/time-outs.md` writes it; a test holds the page, and the verdicts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from remediator.alerts import as_text
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.domain import Cause
from remediator.policy import load
from remediator.workflow.preview import preview
from tests.case_parts import batch, cpu, custom, lines, series, telemetry

ROOT = Path(__file__).resolve().parents[1]
HOST = "https://data.partner.example"
FAMILIES: Mapping[str, frozenset[Cause]] = {
    "Resources": frozenset(
        {
            Cause.CPU_SATURATION, Cause.ACCELERATOR_MISSING, Cause.MEMORY_PRESSURE,
            Cause.REQUEST_TOO_LARGE,
        }
    ),
    "Network": frozenset({Cause.NETWORK_LATENCY}),
    "Code": frozenset({Cause.SLOW_CODE}),
}  # fmt: skip
_HEAD = """\
# Out of time: which of the three it was

A batch prediction that ends with a 504, and a custom job that ran into its time-out, say the same whatever held
them up. These are ten cases of each family, and the alert that each gives under the shipped policies, which observe
and change nothing. A test holds this page, and each verdict, to what the product does. *Seen by*: what there was
to go by besides the error; a batch prediction has no metrics, telemetry is what the container writes itself.
"""


@dataclass(frozen=True)
class Shown:
    """One case: what is special in it, what it was seen by, and the verdict that it must get."""

    family: str
    title: str
    seen_by: str
    cause: Cause
    body: dict[str, Any]


def every(step: float, text: str, *, until: float) -> list[dict[str, Any]]:
    """The same line again and again; `{i}` counts."""
    return lines(
        *((step * (i + 1), text.replace("{i}", str(i))) for i in range(int(until // step)))
    )


def job(
    *entries: Sequence[dict[str, Any]], load_: Sequence[dict[str, Any]] = (), **more: Any
) -> dict[str, Any]:
    """A custom job of an hour that ran into its time-out."""
    told = [entry for group in entries for entry in group]
    return {
        **custom(3610, displayName="nightly-train"),
        "logEntries": told,
        "timeSeries": list(load_),
        **more,
    }


def request(*entries: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A batch prediction whose requests of 64 instances did not end in ten minutes."""
    told = [entry for group in entries for entry in group]
    return {**batch(displayName="score-genomes"), "logEntries": told, **more}


def timeline_sections(*parts: tuple[int, float]) -> list[float]:
    """(minutes, level) one after the other."""
    return [level for minutes, level in parts for _ in range(minutes)]


R, N, C = FAMILIES
CPU, GPU, MEM = Cause.CPU_SATURATION, Cause.ACCELERATOR_MISSING, Cause.MEMORY_PRESSURE
NET, SLOW, BIG = Cause.NETWORK_LATENCY, Cause.SLOW_CODE, Cause.REQUEST_TOO_LARGE
NO_GPU = lines((3, "No GPU found, using the CPU instead"))
WHERE = {"buckets": {"training-data": {"location": "EUROPE-WEST1"}}}
INPUT = [{"name": "DATA", "value": "gs://training-data/train.csv"}]
POOL = {
    "machineSpec": {"machineType": "n1-standard-8"},
    "replicaCount": "1",
    "containerSpec": {"imageUri": "us-docker.pkg.dev/p/r/t:1", "env": INPUT},
}
SPEC = {"workerPoolSpecs": [POOL], "scheduling": {"timeout": "3600s"}}
THRASH = [
    series("cpu/utilization", timeline_sections((30, 0.6), (30, 0.1))),
    series("memory/utilization", timeline_sections((10, 0.4), (10, 0.6), (10, 0.8), (30, 0.985))),
]
SHOWN: tuple[Shown, ...] = (
    Shown(R, "every vCPU full until the request was cut", "telemetry", CPU, request(telemetry(0.97, "predict", ""))),
    Shown(R, "the same, in a section that uses all vCPUs", "telemetry", CPU, request(telemetry(0.96, "tokenise", "tokenise.py:9 encode_batch"))),
    Shown(R, "every vCPU full for an hour", "metrics", CPU, job(load_=cpu(0.97))),
    Shown(R, "the same, seen from inside", "telemetry", CPU, job(telemetry(0.98, "align", "align.py:41 align_all", span=3600))),
    Shown(R, "the model looked for a GPU and found none", "log", GPU, request(NO_GPU)),
    Shown(R, "the same with the CPUs full instead", "telemetry, log", GPU, request(telemetry(0.95, "predict", ""), NO_GPU)),
    Shown(R, "training that fell back to the CPU", "metrics, log", GPU, job(lines((3, "CUDA not available, falling back to CPU")), load_=cpu(0.97))),
    Shown(R, "memory at its limit for half an hour, and less done from then on", "metrics", MEM, job(lines((5, "building the index")), load_=THRASH)),
    Shown(R, "one request of 64 instances is more than ten minutes of work", "error alone", BIG, request()),
    Shown(R, "the server was killed for memory while it answered", "log", MEM, request(lines((20, "predict: 64 instances"), (200, "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?"), (201, "Booting worker with pid: 9")))),
    Shown(N, "an idle machine beside fetches from one host", "telemetry, log", NET, request(telemetry(0.02, "fetch", "urllib3/connectionpool.py:544 urlopen"), every(60, f"GET {HOST}/p/{{i}}: waited 58.0 s for the response", until=590))),
    Shown(N, "each instance asks a feature store", "log", NET, request(every(12, "2026-11-23 10:00:00,001 INFO predictor: features for r{i} in 11.6 s", until=590))),
    Shown(N, "fetches with their durations in the log", "log", NET, request(every(45, f"fetched part {{i}} from {HOST}/part in 44.1 s", until=590))),
    Shown(N, "an idle machine that waits for an outside host", "metrics, log", NET, job(every(280, f"GET {HOST}/p/{{i}}: waited 275.0 s for the response", until=3600), load_=cpu(0.02))),
    Shown(N, "data in another region, read all the while", "metrics, places", NET, job(load_=[*cpu(0.02), series("network/received_bytes_count", [6e8] * 60)], **WHERE) | {"job": custom(3610, displayName="nightly-train", jobSpec=SPEC)["job"]}),
    Shown(N, "the stack stands in a client library", "telemetry", NET, job(telemetry(0.02, "fetch_features", "requests/sessions.py:703 send", span=3600))),
    Shown(N, "twenty slow fetches in a log that samples", "metrics, log", NET, job(every(170, f"fetched shard {{i}} from {HOST}/s in 18.2 s", until=3590), load_=cpu(0.02))),
    Shown(N, "a host that answered slowly when it was probed", "metrics, probe, log", NET, job(every(600, f"reading from {HOST}", until=3600), load_=cpu(0.02), probes=[{"url": HOST, "seconds": 1.9, "from": "us-central1"}])),
    Shown(N, "nothing measured, and a log that tells its waits", "log", NET, job(every(280, f"GET {HOST}/p/{{i}}: waited 275.0 s for the response", until=3600))),
    Shown(N, "BigQuery read page by page", "metrics, log", NET, job(every(240, "reading page {i} of rows from bigquery took 236.0 s", until=3600), load_=cpu(0.02))),
    Shown(C, "one thread of eight, in one section", "telemetry", SLOW, request(telemetry(0.125, "normalise", "preprocess.py:41 normalise"))),
    Shown(C, "a section that the log names, nothing measured", "log", SLOW, request(every(50, "[normalise] {i}/12 samples", until=590))),
    Shown(C, "a section with its own duration", "log", SLOW, request(lines((5, "decoding took 4.0 s"), (570, "normalise took 560.0 s")))),
    Shown(C, "a loop over rows, seen by its stack", "telemetry", SLOW, request(telemetry(0.13, "join_features", "pandas/core/frame.py:1554 iterrows"))),
    Shown(C, "one thread of eight, in one section", "metrics, log", SLOW, job(every(280, "[normalise] {i}/12 samples", until=3600), load_=cpu(0.125))),
    Shown(C, "the same, seen from inside", "telemetry", SLOW, job(telemetry(0.125, "parse_vcf", "parse.py:88 parse_line", span=3600))),
    Shown(C, "one thread of eight, and no word of a section", "metrics", SLOW, job(load_=cpu(0.125))),
    Shown(C, "each pass takes longer than the one before", "metrics, log", SLOW, job(lines(*((40.0 * i * i + 10, f"[dedupe] pass {i}") for i in range(9))), load_=cpu(0.125))),
    Shown(C, "a GPU that waits for one thread", "metrics, log", SLOW, job(every(280, "[augment] {i}/12 shards", until=3600), load_=[*cpu(0.125), series("accelerator/utilization", [0.04] * 60)])),
    Shown(C, "several threads, none of them fetching, one section", "metrics, log", SLOW, job(every(280, "[compute_distances] {i}/12 blocks", until=3600), load_=cpu(0.25))),
)  # fmt: skip


def verdict(shown: Shown) -> Cause:
    return diagnose(Case.parse(shown.body)).verdict


def page() -> str:
    """The whole page."""
    policies = load((ROOT / "policies.yaml").read_text(), "policies.yaml").policies
    assert policies is not None
    parts = [_HEAD]
    for family, causes in FAMILIES.items():
        names = ", ".join(f"`{cause.value}`" for cause in Cause if cause in causes)
        parts.append(f"## {family}\n\n{names}\n")
        for number, one in enumerate((s for s in SHOWN if s.family == family), start=1):
            kind = (
                "batch prediction" if "batchPrediction" in one.body["job"]["name"] else "custom job"
            )
            made = preview(Case.parse(one.body), policies, Catalog.built_in())
            assert made is not None
            text = as_text(replace(made.message, links=()))
            parts.append(
                f"### {family} {number}: {one.title}\n\nA {kind}; seen by: {one.seen_by}.\n\n```text\n{text}```\n"
            )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
