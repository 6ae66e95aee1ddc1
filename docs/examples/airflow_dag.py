"""Airflow 3.2 or newer: start a Vertex job, then wait for its chain, not for the job itself.

The operator must not retry the job itself (`retries=0`): the remediator does, with a plan, and finds
out if somebody else was faster. The sensor asks `python -m remediator follow`, which needs no ledger:
only read access to Vertex AI and to the project's logs. In `reschedule` mode it holds no worker while
it waits. The next task gets the folder of the attempt that succeeded.
"""

# ruff: noqa: INP001, T201  # a file by itself, which prints

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

from airflow.sdk import PokeReturnValue, dag, task
from airflow.sdk.exceptions import AirflowFailException

PROJECT = "genomics-lab"
REGION = "us-central1"


@dag(schedule=None, catchup=False)
def align_reads() -> None:
    @task(retries=0)
    def submit() -> str:
        """The job's name, as soon as it exists; nobody waits for the job itself."""
        from google.cloud import aiplatform  # noqa: PLC0415  # Airflow parses this file often

        aiplatform.init(project=PROJECT, location=REGION, staging_bucket="gs://lab-staging")
        job = aiplatform.CustomJob.from_local_script(
            display_name="align-reads",
            script_path="align.py",
            container_uri="us-docker.pkg.dev/lab/align:3",
        )
        job.submit()
        return job.resource_name

    @task.sensor(poke_interval=120, timeout=timedelta(days=2).total_seconds(), mode="reschedule")
    def chain_ended(job: str) -> PokeReturnValue:
        """Done when the chain's last job succeeded; fails, with the reason, when it is given up."""
        asked = subprocess.run(  # noqa: S603  # our own command, a name that Vertex gave
            [sys.executable, "-m", "remediator", "follow", job, "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode not in (0, 1):  # 1 says: not succeeded (yet)
            raise RuntimeError(asked.stderr.strip())
        standing = json.loads(asked.stdout)
        succeeded = asked.returncode == 0
        if standing["final"] is True and not succeeded:
            why = f"{standing['reason']} {standing['advice']} {standing['url']}"
            msg = f"given up after attempt {standing['attempt']}: {why}"
            raise AirflowFailException(msg)
        if standing["waits_for"]:  # an approval's id, or a time
            print(f"waits for {standing['waits_for']}: {standing['reason']}")
        return PokeReturnValue(is_done=succeeded, xcom_value=standing["output"])

    @task
    def use(output: str) -> None:
        print(f"results are in {output}")

    use(chain_ended(submit()))


align_reads()
