"""Python's collector of reference cycles: seldom asked while modules load, as usual afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """\
import gc, json
usual = gc.get_threshold()
import functions_framework
client = functions_framework.create_app("remediate", "main.py").test_client()
loading = gc.get_threshold()
headers = {
    "ce-id": "1", "ce-source": "s", "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
}
def answer():
    return client.post("/", json={"message": {"data": ""}}, headers=headers).status_code
statuses = [answer()]
frozen = gc.get_freeze_count()
kept = [[] for _ in range(10)]
statuses.append(answer())
print(json.dumps([usual, loading, gc.get_threshold(), frozen, gc.get_freeze_count(), statuses]))
"""


def test_the_collector_waits_for_the_first_answer_and_passes_over_what_was_loaded() -> None:
    environment = {**os.environ, "GOOGLE_CLOUD_PROJECT": "lab", "REMEDIATOR_LEDGER": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    usual, loading, now, frozen, later, statuses = json.loads(done.stdout.splitlines()[-1])
    assert loading[0] > 10 * usual[0]
    assert now == usual
    assert frozen > 50_000  # what was loaded
    assert later <= frozen  # and nothing of the events after the first
    assert statuses == [200, 200]
