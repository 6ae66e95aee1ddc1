"""What partial batches cost when the rows that are left run, beside running all rows again.

The twin says how long a batch of so many rows runs on its machine (start, loading, requests); the
catalog says what the machine costs. Called by `run`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from remediator.catalog.catalog import Catalog, Hardware
from twin.batch import run_batch
from twin.physics import Needs, Serving

MACHINE, REGION = "n1-standard-8", "us-central1"
ROWS = 200_000
PARTIAL = (
    ("succeeded, 2% of its rows may pass", 0.98),
    ("dead at 90%", 0.9),
    ("dead at 70%", 0.7),
    ("expired at 60%", 0.6),
    ("dead at 30%", 0.3),
)
AIM = 0.35  # of the dollars of running all again; chosen, the aim that was set for it
_START_HOURS = 5 / 60  # a replica's start is billed too, measured by others, as in `planning.costs`


def _usd(rows: int) -> float:
    needs = Needs(serving=Serving(instances=rows, cpu_seconds=0.4, parallel=0.95))
    job: dict[str, Any] = {
        "dedicatedResources": {"machineSpec": {"machineType": MACHINE}, "startingReplicaCount": 1}
    }
    run = run_batch(replace(needs), job, region=REGION)
    rate = Catalog.built_in().usd_per_hour(Hardware(MACHINE), REGION) or 0.0
    return rate * (run.run_seconds / 3600 + _START_HOURS)


def dollars_table() -> tuple[list[str], bool]:
    """The table's lines, and whether the aim is met."""
    whole = _usd(ROWS)
    lines = [
        f"Batches of {ROWS:,} rows on {MACHINE}, by the twin's times and the catalog's prices:",
        "",
        "| batch | rows that run again | their dollars | all rows again | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    spent = 0.0
    for title, done in PARTIAL:
        left = round(ROWS * (1 - done))
        usd = _usd(left)
        spent += usd
        lines.append(f"| {title} | {left:,} | {usd:.2f} | {whole:.2f} | {usd / whole:.2f} |")
    ratio = spent / (whole * len(PARTIAL))
    met = "met" if ratio <= AIM else "**missed**"
    lines += ["", f"Together {ratio:.2f} of running all again (aim: at most {AIM}): {met}."]
    return lines, ratio <= AIM
