"""Which of our files run where they are deployed, and whether a folder of them can diagnose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.deploy.terraform import ROOT

BESIDE_THE_PACKAGE = ("main.py", "policies.yaml", "requirements.txt")
# What each message is diagnosed by: a row of compiled.json, and words.tsv alone.
BY_A_SIGNATURE = "403 Access Denied: User does not have bigquery.jobs.create permission."
BY_WORDS = "The JSONL line 3 of the dataset holds a record without the expected column"


def own_files() -> frozenset[str]:
    """The package's files that run: all but bytecode and the texts that compiled.json is made of."""
    signatures = ROOT / "remediator" / "diagnosis" / "signatures"
    return frozenset(
        str(path.relative_to(ROOT))
        for path in (ROOT / "remediator").rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not (path.parent == signatures and path.suffix == ".txt")
    )


def assert_it_diagnoses(folder: Path, scratch: Path) -> None:
    """The package in `folder` reads its signatures and its word model; cases are written to `scratch`."""
    said = []
    for number, message in enumerate((BY_A_SIGNATURE, BY_WORDS)):
        job = {
            "name": f"projects/1/locations/us-central1/customJobs/{number}",
            "state": "JOB_STATE_FAILED",
            "createTime": "2026-11-23T10:00:00Z",
            "startTime": "2026-11-23T10:02:00Z",
            "endTime": "2026-11-23T10:42:00Z",
            "error": {"message": message},
        }
        case = scratch / f"case-{number}.json"
        case.write_text(json.dumps({"job": job}))
        done = subprocess.run(
            [sys.executable, "-B", "-m", "remediator", "diagnose", str(case)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(scratch), "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        said.append(done.stdout)
    assert "verdict: permission" in said[0]
    assert "by its words alone" in said[1]
