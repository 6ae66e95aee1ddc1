"""The labelled messages as case files: one message, nothing else known. Used by bench and tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).resolve().parents[2] / "tests" / "corpus"
TEST_DATA = CORPUS.parent / "data"
# stand beside this file
_STRANGERS = frozenset(
    {
        "authored",
        "endings",
        "held_out",
        "fresh",
        "twelfth",
        "written",
        "written_held",
        "later",
        "later_held",
    }
)
_COLLECTIONS = {
    "batch_prediction": "batchPredictionJobs",
    "custom": "customJobs",
    "endpoint": "customJobs",
    "hyperparameter_tuning": "hyperparameterTuningJobs",
    "pipeline": "pipelineJobs",
    "training_pipeline": "trainingPipelines",
}


def messages(name: str) -> list[dict[str, Any]]:
    """The rows of `messages` (real), of `held_out`, `fresh` and `twelfth` (real, gathered later), of
    `written`, `written_held`, `later` and `later_held` (real ones, each written anew for another run), of `recalled`
    (our own), or of `authored` (training data alone, from what its authors know of the software)."""
    folder = Path(__file__).parent if name in _STRANGERS else CORPUS
    path = folder / f"{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def written_endings(name: str) -> list[tuple[list[str], str]]:
    """How logs end: the last rows and the cause, of `endings` (written by two authors for programs of their own and
    for tools that they remember) or of `recalled_endings`."""
    folder = Path(__file__).parent if name in _STRANGERS else TEST_DATA
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row.get("lines") or row["text"].split("\n"), row["truth"][0]) for row in rows]


def thread_of(row: dict[str, Any]) -> str:
    """What must not be split between training and testing: one issue thread or page."""
    source = str(row.get("source") or row["id"])
    return row["id"] if "unnamed" in source else source


def case_of(row: dict[str, Any]) -> dict[str, Any]:
    """A case file (REST shape) of a failed job about which only this message is known."""
    job: dict[str, Any] = {
        "name": f"projects/1/locations/us-central1/{_COLLECTIONS[row['job_kind']]}/1",
        "state": "JOB_STATE_FAILED",
        "createTime": "2026-11-23T10:00:00Z",
        "startTime": "2026-11-23T10:02:00Z",
        "endTime": "2026-11-23T10:42:00Z",
    }
    case: dict[str, Any] = {"job": job}
    where, text = row["where"], row["text"]
    if where in {"job.error", "exception"}:
        job["error"] = {"message": text}
    elif where == "partial_failures":
        job["partialFailures"] = [{"message": text}]
    elif where == "error_file":
        case["errorFiles"] = {"gs://out/prediction.errors_stats-00000-of-00001": text}
    else:
        payload = {"textPayload": text}
        if where == "log.jsonPayload.message":
            payload = {"jsonPayload": {"message": text}}  # type: ignore[dict-item]
        case["logEntries"] = [{"severity": "ERROR", "insertId": "line", **payload}]
    return case
