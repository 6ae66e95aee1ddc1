"""Vertex AI in the twin: the gRPC methods of JobService, PipelineService and ModelService.

Thin: each method checks what the service itself would (parents, filters, pages, who may act as whom)
and hands over to the stores. A refused creation leaves an audit entry as the real one is
expected to (not checked against a real project).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from google.cloud import aiplatform_v1 as vertex
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from twin.grammar import BadQuery
from twin.iam import ACT_AS, Iam
from twin.jobs import JobStore
from twin.kinds import KINDS, PIPELINE, Kind, worker_pools
from twin.logging import LogStore
from twin.models import ModelStore
from twin.query import vertex_filter
from twin.rpc import Body, Caller, Method, Refusal, page

_CODES = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
}


class VertexApi:
    """The methods, over the stores."""

    def __init__(self, jobs: JobStore, models: ModelStore, logs: LogStore, iam: Iam) -> None:
        self._jobs = jobs
        self._models = models
        self._logs = logs
        self._iam = iam

    def methods(self) -> list[Method]:
        """Every RPC that is served."""
        return [*self._job_methods(), *self._model_methods()]

    def _job_methods(self) -> Iterator[Method]:
        for kind in KINDS.values():
            path = f"/google.cloud.aiplatform.v1.{kind.service}"
            plural = f"{kind.title}s"
            yield Method(
                f"{path}/Create{kind.title}",
                getattr(vertex, f"Create{kind.title}Request"),
                kind.type,
                self._bound(self._create, kind),
                denied=partial(self._denied, kind),
            )
            yield Method(
                f"{path}/Get{kind.title}",
                getattr(vertex, f"Get{kind.title}Request"),
                kind.type,
                self._bound(self._get, kind),
            )
            yield Method(
                f"{path}/List{plural}",
                getattr(vertex, f"List{plural}Request"),
                getattr(vertex, f"List{plural}Response"),
                self._bound(self._list, kind),
            )
            yield Method(
                f"{path}/Cancel{kind.title}",
                getattr(vertex, f"Cancel{kind.title}Request"),
                empty_pb2.Empty,
                self._bound(self._cancel, kind),
            )
            yield Method(
                f"{path}/Delete{kind.title}",
                getattr(vertex, f"Delete{kind.title}Request"),
                operations_pb2.Operation,
                self._bound(self._delete, kind),
            )

    def _model_methods(self) -> Iterator[Method]:
        path = "/google.cloud.aiplatform.v1.ModelService"
        yield Method(f"{path}/GetModel", vertex.GetModelRequest, vertex.Model, self._get_model)
        yield Method(
            f"{path}/ListModelVersions",
            vertex.ListModelVersionsRequest,
            vertex.ListModelVersionsResponse,
            self._list_versions,
        )
        yield Method(
            f"{path}/ListModels",
            vertex.ListModelsRequest,
            vertex.ListModelsResponse,
            self._list_models,
        )

    def _bound(
        self, method: Callable[[Kind, Body, Caller], Body], kind: Kind
    ) -> Callable[[Body, Caller], Body]:
        return lambda body, caller: method(kind, body, caller)

    def _create(self, kind: Kind, body: Body, caller: Caller) -> Body:
        job = body.get(kind.key) or {}
        parent = str(body.get("parent") or "")
        try:
            self._may_act_as(kind, job)
            made = self._jobs.create(kind, parent, job)
        except Refusal as refusal:
            self._audit(kind, "Create", parent, caller, job, refusal)
            raise
        self._audit(kind, "Create", str(made["name"]), caller, job, None)
        return made

    def _denied(self, kind: Kind, body: Body, caller: Caller, refusal: Refusal) -> None:
        parent = str(body.get("parent") or "")
        self._audit(kind, "Create", parent, caller, body.get(kind.key) or {}, refusal)

    def _get(self, kind: Kind, body: Body, caller: Caller) -> Body:
        job = self._jobs.get(kind, str(body.get("name") or ""))
        with self._jobs.lock:
            return dict(job.body)

    def _list(self, kind: Kind, body: Body, caller: Caller) -> Body:
        try:
            matches = vertex_filter(str(body.get("filter") or ""), pipelines=kind is PIPELINE)
            if self._jobs.lists_everything:
                matches = _everything
            found = self._jobs.listed(kind, str(body.get("parent") or ""), matches)
        except BadQuery as err:
            raise Refusal("INVALID_ARGUMENT", str(err)) from err
        jobs, following = page(found, body, 100)
        with self._jobs.lock:
            shown = [_masked(job.body, body.get("readMask")) for job in jobs]
        return {f"{kind.key}s": shown, "nextPageToken": following}

    def _cancel(self, kind: Kind, body: Body, caller: Caller) -> Body:
        name = str(body.get("name") or "")
        self._jobs.cancel(kind, name)
        self._audit(kind, "Cancel", name, caller, {}, None)
        return {}

    def _delete(self, kind: Kind, body: Body, caller: Caller) -> Body:
        name = str(body.get("name") or "")
        self._jobs.delete(kind, name)
        parent = "/".join(name.split("/")[:4])
        done = {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}
        return {"name": f"{parent}/operations/1", "done": True, "response": done}

    def _get_model(self, body: Body, caller: Caller) -> Body:
        return self._models.get(str(body.get("name") or ""))

    def _list_versions(self, body: Body, caller: Caller) -> Body:
        found, following = page(self._models.versions(str(body.get("name") or "")), body, 100)
        return {"models": found, "nextPageToken": following}

    def _list_models(self, body: Body, caller: Caller) -> Body:
        found, following = page(self._models.all(str(body.get("parent") or "")), body, 100)
        return {"models": found, "nextPageToken": following}

    def _may_act_as(self, kind: Kind, job: Mapping[str, Any]) -> None:
        holders = (job, job.get("jobSpec") or {}, job.get("trialJobSpec") or {})
        for account in {str(h.get("serviceAccount") or "") for h in holders} - {""}:
            if not self._iam.may_act_as(account):
                raise Refusal(
                    "PERMISSION_DENIED",
                    f"You do not have permission to act as service account: {account}. "
                    f"(or it may not exist). Permission '{ACT_AS}' denied.",
                )

    def _audit(
        self,
        kind: Kind,
        verb: str,
        resource: str,
        caller: Caller,
        job: Mapping[str, Any],
        refusal: Refusal | None,
    ) -> None:
        """Cloud Audit's activity entry for a change, made or refused."""
        project = self._jobs.project
        payload: Body = {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "aiplatform.googleapis.com",
            "methodName": f"google.cloud.aiplatform.v1.{kind.service}.{verb}{kind.title}",
            "resourceName": resource,
            "authenticationInfo": {"principalEmail": caller.principal},
        }
        if refusal:
            payload["status"] = {
                "code": _CODES.get(refusal.status, 13),
                "message": refusal.message,
            }
            machines = [pool.get("machineSpec") or {} for pool in worker_pools(kind, job)]
            payload["request"] = {
                "parent": resource,
                kind.key: {"displayName": job.get("displayName", ""), "machines": machines},
            }
        self._logs.add(
            {
                "logName": f"projects/{project}/logs/cloudaudit.googleapis.com%2Factivity",
                "resource": {
                    "type": "audited_resource",
                    "labels": {
                        "project_id": project,
                        "service": "aiplatform.googleapis.com",
                        "method": payload["methodName"],
                    },
                },
                "severity": "ERROR" if refusal else "NOTICE",
                "protoPayload": payload,
            }
        )


def _everything(job: Body) -> bool:
    del job
    return True


def _masked(body: Body, mask: str | None) -> Body:
    """What a read mask leaves of a job: fields of the first level, as `name,displayName`."""
    return {key: body[key] for key in mask.split(",") if key in body} if mask else dict(body)
