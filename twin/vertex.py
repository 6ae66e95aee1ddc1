"""Vertex AI in the twin: the gRPC methods of JobService, PipelineService and ModelService.

Thin: each method checks what the service itself would (parents, filters, pages, who may act as whom)
and hands over to the stores. A refused creation leaves the audit entry that the real one leaves.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.cloud import aiplatform_v1 as vertex
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from twin.clock import Clock, rfc3339
from twin.grammar import BadQuery
from twin.iam import ACT_AS, Iam
from twin.jobs import JobStore
from twin.kinds import KINDS, PIPELINE, Kind, worker_pools
from twin.logging import LogStore
from twin.query import vertex_filter
from twin.rpc import Body, Caller, Method, Refusal, page

_CODES = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
}


class ModelStore:
    """Models and their versions, as REST-shaped JSON."""

    def __init__(self, clock: Clock, project: str, number: str) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._projects = (project, number)
        self._models: dict[str, list[Body]] = {}

    def add(self, body: Mapping[str, Any]) -> Body:
        """One version of a model; the newest is the default one. `name` without a version."""
        name = self._plain(str(body["name"]))
        now = rfc3339(self._clock.now())
        with self._lock:
            versions = self._models.setdefault(name, [])
            number = str(len(versions) + 1)
            full = {
                "versionId": number,
                "versionCreateTime": now,
                "createTime": now,
                "displayName": "model",
                **body,
                "name": name,
            }
            for old in versions:
                old["versionAliases"] = [a for a in old["versionAliases"] if a != "default"]
            full.setdefault("versionAliases", ["default"])
            versions.append(full)
        return copy.deepcopy(full)

    def remove(self, name: str) -> None:
        """The model is gone, with every version."""
        with self._lock:
            self._models.pop(self._plain(name), None)

    def get(self, name: str) -> Body:
        """A version (`@2`, `@default`, none: the default one); refuses with NOT_FOUND."""
        plain, _, version = name.partition("@")
        with self._lock:
            for body in reversed(self._models.get(self._plain(plain), [])):
                wanted = version or "default"
                if wanted == body["versionId"] or wanted in body["versionAliases"]:
                    return copy.deepcopy(body)
        raise Refusal("NOT_FOUND", f'The Model "{name}" does not exist.')

    def has(self, name: str) -> bool:
        """Whether this version exists."""
        try:
            self.get(name)
        except Refusal:
            return False
        return True

    def version(self, name: str) -> str:
        """The version that this name means now; empty where there is none."""
        try:
            return str(self.get(name)["versionId"])
        except Refusal:
            return ""

    def versions(self, name: str) -> list[Body]:
        """Every version of a model, newest first."""
        self.get(name.partition("@")[0])
        with self._lock:
            found = copy.deepcopy(self._models[self._plain(name.partition("@")[0])])
        return found[::-1]

    def all(self, parent: str) -> list[Body]:
        """The default version of each model in a location."""
        prefix = self._plain(parent) + "/"
        with self._lock:
            return [
                copy.deepcopy(v[-1]) for name, v in self._models.items() if name.startswith(prefix)
            ]

    def _plain(self, name: str) -> str:
        parts = name.split("/")
        if len(parts) > 1 and parts[1] in self._projects:
            parts[1] = self._projects[1]
        return "/".join(parts)


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

    def _get(self, kind: Kind, body: Body, caller: Caller) -> Body:
        job = self._jobs.get(kind, str(body.get("name") or ""))
        with self._jobs.lock:
            return copy.deepcopy(job.body)

    def _list(self, kind: Kind, body: Body, caller: Caller) -> Body:
        try:
            matches = vertex_filter(str(body.get("filter") or ""), pipelines=kind is PIPELINE)
            found = [
                job
                for job in self._jobs.listed(kind, str(body.get("parent") or ""))
                if matches(job)
            ]
        except BadQuery as err:
            raise Refusal("INVALID_ARGUMENT", str(err)) from err
        jobs, following = page(found, body, 100)
        return {f"{kind.key}s": jobs, "nextPageToken": following}

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
