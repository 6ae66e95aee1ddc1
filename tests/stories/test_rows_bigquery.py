"""A batch whose rows are in BigQuery, by queries of Google's client against a local emulator.

The emulator (PyPI's bqemulator: DuckDB behind BigQuery's API) needs other versions of gRPC's libraries
than ours, so it lives in an environment of its own: `make bigquery` makes it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.stories.conftest import House
from tests.stories.test_loop import made_jobs
from tests.stories.test_rows import (
    DEADLINE,
    GEMINI,
    POLICIES,
    announced_and_heard,
    outcomes,
    to_the_end,
)
from tests.waiting import HANG_SECONDS, wait_until
from twin.serving import free_port

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = Path(os.environ.get("REMEDIATOR_BQEMULATOR") or ROOT / ".venv/bqemulator/bin/python")
pytestmark = pytest.mark.skipif(
    not EMULATOR.exists(), reason=f"no {EMULATOR}: `make bigquery` installs the emulator"
)
OURS = "genomics-lab.resumed"


class Tables:
    """Tables of the emulator, filled and read by Google's client."""

    def __init__(self, address: str) -> None:
        self.client = bigquery.Client(
            project="genomics-lab",
            credentials=AnonymousCredentials(),
            client_options=ClientOptions(api_endpoint=f"http://{address}"),
        )

    def put(
        self, table: str, columns: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        schema = [_field(name, kind) for name, kind in columns.items()]
        table = f"genomics-lab.{table}"
        self.client.delete_table(table, not_found_ok=True)
        self.client.create_table(bigquery.Table(table, schema=schema))
        if rows:
            assert self.client.insert_rows_json(table, [dict(row) for row in rows]) == []

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.client.list_rows(table)]

    def names(self, dataset: str) -> list[str]:
        return [one.table_id for one in self.client.list_tables(dataset)]


def _field(name: str, kind: Any) -> bigquery.SchemaField:
    """A column; a list of columns makes a STRUCT."""
    if isinstance(kind, str):
        return bigquery.SchemaField(name, kind)
    return bigquery.SchemaField(name, "RECORD", fields=[_field(*one) for one in kind])


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    rest, grpc = free_port(), free_port()
    process = subprocess.Popen(
        [str(EMULATOR), str(ROOT / "tests" / "bigquery_emulator.py"), "start", "--rest-port", str(rest), "--grpc-port", str(grpc),
         "--project", "genomics-lab", "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: _answers(rest))
        yield f"127.0.0.1:{rest}"
    finally:
        process.terminate()
        process.wait(timeout=HANG_SECONDS)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def tables(emulator: str) -> Tables:
    found = Tables(emulator)
    for dataset in ("lab", "resumed"):
        found.client.delete_dataset(dataset, delete_contents=True, not_found_ok=True)
        found.client.create_dataset(dataset)
    return found


STATUS = {"errors": [("code", "INTEGER"), ("message", "STRING")]}
"""google.rpc.Status as the column of a custom model's failed rows."""


REQUESTS = {"sample": "STRING", "request": "STRING"}
ANSWERS = {**REQUESTS, "status": "STRING", "response": "STRING"}


def requests_of(count: int) -> list[dict[str, str]]:
    return [
        {"sample": f"s{n}", "request": json.dumps({"contents": [{"text": f"read {n}"}]})}
        for n in range(count)
    ]


def expired(cloud: Any, **more: object) -> dict[str, Any]:
    now = cloud.clock.now()
    at = [f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (3, 2.9, 1)]
    body = {
        "name": cloud.name("batchPredictionJobs", "4712"),
        "displayName": "score",
        "model": GEMINI,
        "state": "JOB_STATE_EXPIRED",
        "createTime": at[0],
        "startTime": at[1],
        "endTime": at[2],
        "inputConfig": {
            "instancesFormat": "bigquery",
            "bigquerySource": {"inputUri": "bq://genomics-lab.lab.requests"},
        },
        "outputConfig": {
            "predictionsFormat": "bigquery",
            "bigqueryDestination": {"outputUri": "bq://genomics-lab.lab.answers"},
        },
        **more,
    }
    return dict(cloud.jobs.add(body))


@pytest.fixture
def resuming(open_house: Callable[..., House], emulator: str) -> House:
    return open_house(
        POLICIES, REMEDIATOR_RESUME_DATASET=OURS, BIGQUERY_EMULATOR_HOST=f"http://{emulator}"
    )


def made_table(made: Mapping[str, Any]) -> str:
    return str(made["inputConfig"]["bigquerySource"]["inputUri"]).removeprefix("bq://")


def test_rows_that_are_left_go_to_a_table_of_ours_and_come_back_as_another(
    resuming: House, cloud: Any, tables: Tables
) -> None:
    rows = requests_of(20)
    good = [{**row, "status": "", "response": "{}"} for row in rows[:12]]
    passing = {**rows[12], "status": DEADLINE, "response": None}
    never = {**rows[13], "status": '{"code": 3, "message": "no such role"}', "response": None}
    tables.put("lab.requests", REQUESTS, rows)
    tables.put("lab.answers", ANSWERS, [*reversed(good), passing, never])
    job = expired(cloud)
    assert announced_and_heard(resuming, cloud) == [200]
    assert announced_and_heard(resuming, cloud) == [200]
    (made,) = made_jobs(cloud, job)
    sent = {row["sample"] for row in tables.rows(made_table(made))}
    assert sent == {"s12", *(f"s{n}" for n in range(14, 20))}
    assert made_table(made).startswith(f"{OURS}.rows_4712_1_")
    output = made["outputConfig"]["bigqueryDestination"]["outputUri"]
    assert output.startswith(f"bq://{OURS}.predictions_4712_1_")
    told = cloud.slack.messages[0].text
    assert "7 rows are left" in told
    to_the_end(resuming, cloud)
    assert outcomes(cloud)[-1]["outputs"][0] == "bq://genomics-lab.lab.answers"
    assert len(outcomes(cloud)[-1]["outputs"]) == 2
    assert sorted(tables.names("lab")) == ["answers", "requests"]
    manifest = output.removeprefix("bq://").replace("predictions_", "manifest_")
    root = {"root": job["name"]}
    found = sorted(tables.rows(manifest), key=lambda part: int(part["attempt"]))
    assert found[0].pop("rows") == 12
    assert found[1].pop("rows") == 1000  # what the twin counts for any batch
    assert found == [
        {**root, "job": job["name"], "attempt": 0, "output": "bq://genomics-lab.lab.answers"},
        {**root, "job": made["name"], "attempt": 1, "output": output},
    ]  # fmt: skip


def test_a_key_that_is_repeated_gives_way_to_the_request_itself(
    resuming: House, cloud: Any, tables: Tables
) -> None:
    rows = [{**row, "sample": "same"} for row in requests_of(10)]
    tables.put("lab.requests", REQUESTS, [*rows, rows[0]])
    tables.put("lab.answers", ANSWERS, [{**r, "status": "", "response": "{}"} for r in rows[:6]])
    job = expired(cloud)
    announced_and_heard(resuming, cloud)
    (made,) = made_jobs(cloud, job)
    sent = sorted(row["request"] for row in tables.rows(made_table(made)))
    assert sent == sorted(row["request"] for row in [rows[0], *rows[6:]])


def test_an_output_that_matches_no_input_is_refused(
    resuming: House, cloud: Any, tables: Tables
) -> None:
    rows = requests_of(10)
    tables.put("lab.requests", REQUESTS, rows[:8])
    tables.put("lab.answers", ANSWERS, [{**r, "status": "", "response": "{}"} for r in rows[3:]])
    job = expired(cloud)
    announced_and_heard(resuming, cloud)
    assert made_jobs(cloud, job) == []
    assert "match no row of the input" in cloud.slack.messages[0].text
    assert tables.names("resumed") == []


def test_queries_that_cost_more_than_may_be_spent_are_not_asked(
    open_house: Callable[..., House], cloud: Any, tables: Tables, emulator: str
) -> None:
    strict = POLICIES.replace("usd_per_job: 1000", "usd_per_job: 0")
    house = open_house(
        strict, REMEDIATOR_RESUME_DATASET=OURS, BIGQUERY_EMULATOR_HOST=f"http://{emulator}"
    )
    rows = requests_of(10)
    tables.put("lab.requests", REQUESTS, rows)
    tables.put("lab.answers", ANSWERS, [{**r, "status": "", "response": "{}"} for r in rows[:6]])
    job = expired(cloud)
    announced_and_heard(house, cloud)
    assert made_jobs(cloud, job) == []
    assert "in BigQuery would cost about" in cloud.slack.messages[0].text


# --- custom models: failed rows in tables of their own ---------------------------------------------

GENES = {"gene": "STRING", "x": "FLOAT"}
TIMED = "2026_11_23T20_00_00_123Z_7"


def custom(cloud: Any, **more: object) -> dict[str, Any]:
    """A custom model's batch, dead on its way; its output is a dataset, in which Vertex made tables."""
    model = cloud.add_model("777", displayName="scorer")
    return expired(
        cloud,
        model=model,
        modelVersionId="1",
        state="JOB_STATE_FAILED",
        error={"code": 13, "message": "INTERNAL"},
        createTime="2026-11-23T20:00:00.5Z",
        outputConfig={
            "predictionsFormat": "bigquery",
            "bigqueryDestination": {"outputUri": "bq://genomics-lab.lab"},
        },
        dedicatedResources={
            "machineSpec": {"machineType": "n1-standard-4"},
            "startingReplicaCount": 1,
            "maxReplicaCount": 1,
        },
        **more,
    )


def genes(count: int) -> list[dict[str, Any]]:
    return [{"gene": f"g{n}", "x": n / 4} for n in range(count)]


def with_error(row: Mapping[str, Any], code: int, message: str) -> dict[str, Any]:
    return {**row, "errors": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("errors", "made_by_vertex"),
    [("errors", {}), ("errors_validation", {"bigqueryOutputTable": f"predictions_{TIMED}"})],
    ids=["dataset", "table"],
)
def test_failed_rows_of_a_custom_model_are_read_from_their_own_table(
    resuming: House, cloud: Any, tables: Tables, errors: str, made_by_vertex: dict[str, str]
) -> None:
    rows = genes(20)
    tables.put("lab.requests", GENES, rows)
    tables.put(f"lab.predictions_{TIMED}", {**GENES, "prediction": "STRING"},
               [{**row, "prediction": "1"} for row in rows[:12]])  # fmt: skip
    failed = [with_error(rows[12], 14, "try again"), with_error(rows[13], 3, "no such gene")]
    tables.put(f"lab.{errors}_{TIMED}", {**GENES, **STATUS}, failed)
    other = "2026_11_22T20_00_00_123Z_7"  # another job's, in the same dataset
    tables.put(f"lab.predictions_{other}", {**GENES, "prediction": "STRING"}, [])
    tables.put(f"lab.errors_{other}", {**GENES, **STATUS}, [with_error(rows[0], 3, "other")])
    info = {"bigqueryOutputDataset": "bq://genomics-lab.lab", **made_by_vertex}
    job = custom(cloud, outputInfo=info)
    announced_and_heard(resuming, cloud)
    (made,) = made_jobs(cloud, job)
    assert {row["gene"] for row in tables.rows(made_table(made))} == {
        "g12",
        *(f"g{n}" for n in range(14, 20)),
    }
    assert made["model"].endswith("/models/777@1")
    assert "7 rows are left" in cloud.slack.messages[0].text


@pytest.mark.parametrize(
    ("columns", "rows", "why"),
    [
        (STATUS, [{"errors": {"code": 14, "message": "try again"}}], "no column of its tables names a row"),
        ({**GENES, **STATUS}, [with_error(genes(1)[0], 14, "try again")] * 2, "repeat a `gene`"),
        ({**GENES, **STATUS}, [with_error({"gene": "g99", "x": 1.0}, 14, "try again")], "match no row of the input"),
        ({**GENES, **STATUS}, [with_error({"gene": None, "x": 1.0}, 14, "try again")], "`gene` is null in the output"),
    ],
    ids=["no-columns", "done-and-failed", "stranger", "null"],
)  # fmt: skip
def test_failed_rows_that_cannot_be_told_apart_are_refused(
    resuming: House, cloud: Any, tables: Tables, columns: Any, rows: Any, why: str
) -> None:
    took = genes(10)
    tables.put("lab.requests", GENES, took)
    tables.put(f"lab.predictions_{TIMED}", {**GENES, "prediction": "STRING"},
               [{**row, "prediction": "1"} for row in took[:6]])  # fmt: skip
    tables.put(f"lab.errors_{TIMED}", columns, rows)
    job = custom(cloud)
    announced_and_heard(resuming, cloud)
    assert made_jobs(cloud, job) == []
    assert why in cloud.slack.messages[0].text
    assert tables.names("resumed") == []
