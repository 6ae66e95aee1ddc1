"""Fields of batch predictions that v1beta1 alone has: read, changed and written by that version."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.cloud import aiplatform_v1 as v1
from google.cloud import aiplatform_v1beta1 as beta

from remediator.catalog.catalog import Catalog
from remediator.cloud.vertex import Vertex
from remediator.domain import Cause, History, JobKind, JobName, PermanentError
from remediator.planning import plan
from tests.jobs import case, diagnosis, policies
from tests.waiting import HANG_SECONDS

NAME = "projects/1/locations/us-central1/batchPredictionJobs/7"
SPEC = {"machineType": "n1-standard-8", "multihostGpuNodeCount": 2, "minGpuDriverVersion": "535.1"}


class Server:
    """A door of Vertex that speaks one version of the API, on loopback."""

    def __init__(self, version: str, types: Any, stored: Any) -> None:
        self.asked: list[str] = []
        self.created: list[Any] = []

        def get(request: Any, _: grpc.ServicerContext) -> Any:
            self.asked.append(request.name)
            return stored

        def create(request: Any, _: grpc.ServicerContext) -> Any:
            self.created.append(request.batch_prediction_job)
            made = types.BatchPredictionJob(request.batch_prediction_job)
            made.name = NAME.replace("/7", "/8")
            return made

        verbs = {"Get": get, "Create": create}
        handlers = {
            f"{verb}BatchPredictionJob": grpc.unary_unary_rpc_method_handler(
                call,
                getattr(types, f"{verb}BatchPredictionJobRequest").deserialize,
                types.BatchPredictionJob.serialize,
            )
            for verb, call in verbs.items()
        }
        service = f"google.cloud.aiplatform.{version}.JobService"
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2))
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, handlers)]
        )
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        assert self._server.stop(grace=0.1).wait(timeout=HANG_SECONDS)


def stored(types: Any, **more: Any) -> Any:
    return types.BatchPredictionJob(
        name=NAME,
        display_name="score",
        model="projects/1/locations/us-central1/models/3",
        state=types.JobState.JOB_STATE_FAILED,
        dedicated_resources={
            "machine_spec": {"machine_type": "n1-standard-8"},
            "starting_replica_count": 1,
            **more,
        },
    )


@pytest.fixture
def door() -> Iterator[Server]:
    spot = stored(
        beta,
        spot=True,
        machine_spec={
            "machine_type": "n1-standard-8",
            "multihost_gpu_node_count": 2,
            "min_gpu_driver_version": "535.1",
        },
    )
    server = Server("v1beta1", beta, spot)
    yield server
    server.stop()


def test_what_v1beta1_alone_has_is_read_and_comes_back_in_the_next_attempt(door: Server) -> None:
    vertex = Vertex(door.endpoint)
    found = vertex.get(JobName.parse(NAME))
    assert found.is_spot
    assert found.to_json()["dedicatedResources"]["machineSpec"] == SPEC
    text = "mode: enforce\npolicies: [{name: one, do: [{resubmit: {}}, {resubmit: {spot: false}}]}]"
    made = plan(
        case(found), diagnosis(found, Cause.PREEMPTION), policies(text), History(),
        Catalog.built_in(),
    )  # fmt: skip
    assert made.request is not None
    vertex.create(JobKind.BATCH_PREDICTION, found.name.parent, made.request)
    (sent,) = door.created
    assert sent.dedicated_resources.spot
    assert sent.dedicated_resources.machine_spec.min_gpu_driver_version == "535.1"
    vertex.close()


def test_a_spot_batch_that_was_taken_back_runs_on_demand(door: Server) -> None:
    found = Vertex(door.endpoint).get(JobName.parse(NAME))
    for step in ("{spot: false}", "{strategy: STANDARD}"):
        text = f"mode: enforce\npolicies: [{{name: one, do: [{{resubmit: {step}}}]}}]"
        made = plan(
            case(found), diagnosis(found, Cause.PREEMPTION), policies(text), History(),
            Catalog.built_in(),
        )  # fmt: skip
        assert [(c.field, c.before, c.after) for c in made.changes] == [
            ("dedicatedResources.spot", True, None)
        ]


def test_a_service_that_has_no_v1beta1_is_asked_by_v1_from_then_on() -> None:
    server = Server("v1", v1, stored(v1))
    vertex = Vertex(server.endpoint)
    for _ in range(2):
        assert vertex.get(JobName.parse(NAME)).display_name == "score"
    assert server.asked == [NAME, NAME]
    with pytest.raises(PermanentError, match='no field named "spot"'):
        vertex.create(
            JobKind.BATCH_PREDICTION,
            "projects/1/locations/us-central1",
            {"displayName": "x", "dedicatedResources": {"spot": True}},
        )
    assert server.created == []
    vertex.close()
    server.stop()


def test_a_job_without_such_fields_is_made_by_v1() -> None:
    server = Server("v1", v1, stored(v1))
    vertex = Vertex(server.endpoint)
    request = {"displayName": "x", "model": "projects/1/locations/us-central1/models/3"}
    made = vertex.create(JobKind.BATCH_PREDICTION, "projects/1/locations/us-central1", request)
    assert made.name.id == "8"
    assert len(server.created) == 1
    vertex.close()
    server.stop()
