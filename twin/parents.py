"""Jobs made of other jobs: tuning jobs, training pipelines and pipeline runs.

Each begins custom jobs of its own, one after the other, and ends as they end. The children leave
their own logs and metrics; a pipeline run logs its own state besides.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from twin.clock import rfc3339
from twin.kinds import CUSTOM, PIPELINE, TRAINING, TUNING, Kind, with_defaults, workload
from twin.launchers import failure, gcp_resources, launched_job
from twin.rpc import Body

if TYPE_CHECKING:
    from twin.jobs import Job, JobStore, Schedule

_BETWEEN_SECONDS = 20.0


class Family:
    """How parents live through their children."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._succeeded: set[tuple[str, ...]] = set()

    def lasts(self, kind: Kind, body: Mapping[str, Any], location: str) -> float:
        """Seconds from creation to end, as foreseen."""
        if kind in (TUNING, TRAINING, PIPELINE):
            total, failed = _BETWEEN_SECONDS, 0
            begun: dict[tuple[str, ...], int] = {}
            for _, child in self._children(kind, body):
                key = workload(CUSTOM, child)
                begun[key] = begun.get(key, self._store.tries_of(CUSTOM, child)) + 1
                run = self._store.foresee(CUSTOM, child, location, begun[key])
                total += run.startup_seconds + run.run_seconds + _BETWEEN_SECONDS
                failed += bool(run.error)
                if failed > _failures_borne(kind, body):
                    break
            return total
        run = self._store.foresee(kind, body, location, 1)
        return (run.startup_seconds if run.started else 0) + run.run_seconds

    def live(self, job: Job, moment: datetime, schedule: Schedule, *, route: bool) -> None:
        """The parent starts at once and its first child after it."""
        start = moment + timedelta(seconds=5)
        schedule.at(start, lambda: self._store.start(job, start))
        children = list(self._children(job.kind, job.body))
        self._next(job, children, start + timedelta(seconds=10), schedule, route)

    def _children(self, kind: Kind, body: Mapping[str, Any]) -> Iterator[tuple[str, Body]]:
        """(name, custom job) of each part, in order."""
        display = str(body.get("displayName") or "")
        if kind is TUNING:
            spec = copy.deepcopy(body.get("trialJobSpec") or {})
            for number in range(1, int(body.get("maxTrialCount") or 1) + 1):
                name = f"{display}-trial-{number}"
                yield str(number), {"displayName": name, "jobSpec": copy.deepcopy(spec)}
        elif kind is TRAINING:
            inputs = copy.deepcopy(body.get("trainingTaskInputs") or {})
            spec = {k: v for k, v in inputs.items() if k in _JOB_SPEC_KEYS}
            yield "training", {"displayName": f"{display}-custom-job", "jobSpec": spec}
        else:
            pipeline = body.get("pipelineSpec") or {}
            executors = (pipeline.get("deploymentSpec") or {}).get("executors") or {}
            for task in _in_order(pipeline, executors):
                container = executors[f"exec-{task}"].get("container")
                if container:
                    launched = launched_job(body, task, container)
                    yield task, launched or _task_job(f"{display}-{task}", container)

    def _next(
        self,
        parent: Job,
        left: list[tuple[str, Body]],
        moment: datetime,
        schedule: Schedule,
        route: bool,
    ) -> None:
        if not left:
            schedule.at(moment, lambda: self._over(parent, "SUCCEEDED", moment, None, route))
            return
        (name, body), rest = left[0], left[1:]

        def ended(child: Job, at: datetime) -> None:
            state = str(child.body["state"]).removeprefix("JOB_STATE_")
            self._note(parent, name, child, state, at)
            if state == "SUCCEEDED":
                self._succeeded.add(workload(CUSTOM, child.body))
                self._next(parent, rest, at + timedelta(seconds=_BETWEEN_SECONDS), schedule, route)
            elif self._failed(parent) <= _failures_borne(parent.kind, parent.body):
                self._next(parent, rest, at + timedelta(seconds=_BETWEEN_SECONDS), schedule, route)
            else:
                late = at + timedelta(seconds=_BETWEEN_SECONDS + self._store.error_lag)
                schedule.at(late, lambda: self._over(parent, "FAILED", late, (name, child), route))

        def begin() -> None:
            if parent.is_over:
                return
            if parent.kind is PIPELINE and self._is_cached(parent, name, body):
                self._task(parent, name, {"taskName": name, "state": "SKIPPED"})
                self._next(parent, rest, moment, schedule, route)
                return
            if parent.kind is PIPELINE:
                body["labels"] = {"vertex-ai-pipelines-run-billing-id": parent.id}
            child = self._store.begin(
                CUSTOM,
                parent.location,
                with_defaults(CUSTOM, body),
                moment,
                schedule,
                route=route,
                ended=ended,
            )
            if schedule is not self._store.clock:
                child.born = 0.0
            self._note(parent, name, child, "RUNNING", moment)

        schedule.at(moment, begin)

    def _note(self, parent: Job, name: str, child: Job, state: str, moment: datetime) -> None:
        """The parent's document names its child."""
        with self._store.lock:
            if parent.kind is TRAINING:
                parent.body["trainingTaskMetadata"] = {"backingCustomJob": child.body["name"]}
            elif parent.kind is TUNING:
                trial = {"id": name, "state": _TRIAL[state], "customJob": child.body["name"]}
                if _TRIAL[state] == "INFEASIBLE":
                    trial["infeasibleReason"] = str((child.body.get("error") or {}).get("message"))
                trials = parent.body.setdefault("trials", [])
                trials[:] = [*(one for one in trials if one["id"] != name), trial]
            else:
                task: Body = {
                    "taskName": name,
                    "state": state,
                    "createTime": child.body["createTime"],
                    "executorDetail": {"containerDetail": {"mainJob": child.body["name"]}},
                }
                if _is_launcher(parent, name):
                    host = f"{parent.location}-aiplatform.googleapis.com"
                    told = gcp_resources(host, str(child.body["name"]))
                    task["execution"] = {"metadata": {"output:gcp_resources": told}}
                    del task["executorDetail"]  # the launcher's own job, which is not simulated
                if state not in ("RUNNING", "SUCCEEDED"):
                    task["endTime"] = rfc3339(moment)
                    task["error"] = {"code": 9, "message": _task_message(parent, name, child)}
                self._task(parent, name, task)

    def _failed(self, parent: Job) -> int:
        """How many of a tuning job's trials have failed; of other parents one is enough."""
        trials = parent.body.get("trials") or []
        return sum(one["state"] == "INFEASIBLE" for one in trials) or 1

    def _task(self, parent: Job, name: str, task: Body) -> None:
        with self._store.lock:
            details = parent.body.setdefault("jobDetail", {}).setdefault("taskDetails", [])
            details[:] = [*(one for one in details if one["taskName"] != name), task]

    def _is_cached(self, parent: Job, name: str, body: Body) -> bool:
        """Whether this task succeeded before and its pipeline lets that count."""
        root = (parent.body.get("pipelineSpec") or {}).get("root") or {}
        task = ((root.get("dag") or {}).get("tasks") or {}).get(name) or {}
        enabled = (task.get("cachingOptions") or {}).get("enableCache")
        return bool(enabled) and workload(CUSTOM, body) in self._succeeded

    def _over(
        self,
        parent: Job,
        state: str,
        moment: datetime,
        failed: tuple[str, Job] | None,
        route: bool,
    ) -> None:
        error: tuple[int, str] | None = None
        if parent.is_over:
            return
        if failed:
            name, child = failed
            child_error = child.body.get("error") or {}
            error = (int(child_error.get("code") or 13), str(child_error.get("message") or ""))
            if parent.kind is PIPELINE:
                error = (
                    9,
                    (
                        "The DAG failed because some tasks failed. The failed tasks are: "
                        f"[{name}].; Job (project_id = {self._store.project}, job_id = {parent.id}) "
                        "is failed due to the above error."
                    ),
                )
            elif parent.kind is TRAINING:
                error = (
                    error[0],
                    f'Training failed with:\ncode: {error[0]}\nmessage: "{error[1]}"',
                )
        self._store.end(parent, state, moment, error=error)
        if parent.kind is PIPELINE:
            self._store.logs.add(self._pipeline_event(parent, state, moment, error), route=route)

    def _pipeline_event(
        self, parent: Job, state: str, moment: datetime, error: tuple[int, str] | None
    ) -> Body:
        project = self._store.project
        payload: Body = {
            "@type": "type.googleapis.com/google.cloud.aiplatform.logging.PipelineJobLogEntry",
            "pipelineName": str(parent.body["name"]),
            "state": f"PIPELINE_STATE_{state}",
        }
        if error:
            payload["error"] = {"code": error[0], "message": error[1]}
        return {
            "logName": f"projects/{project}/logs/aiplatform.googleapis.com%2Fpipeline_job_events",
            "resource": {
                "type": "aiplatform.googleapis.com/PipelineJob",
                "labels": {
                    "pipeline_job_id": parent.id,
                    "location": parent.location,
                    "resource_container": f"projects/{self._store.number}",
                },
            },
            "timestamp": rfc3339(moment),
            "severity": "ERROR" if error else "INFO",
            "insertId": f"pl{parent.id}{state.lower()}",
            "jsonPayload": payload,
        }


_JOB_SPEC_KEYS = (
    "workerPoolSpecs",
    "scheduling",
    "serviceAccount",
    "network",
    "baseOutputDirectory",
)
_TRIAL = {
    "RUNNING": "ACTIVE",
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "INFEASIBLE",
    "CANCELLED": "STOPPING",
}


def _failures_borne(kind: Kind, body: Mapping[str, Any]) -> int:
    """How many parts may fail before the whole does: only a tuning job bears any."""
    return int(body.get("maxFailedTrialCount") or 0) if kind is TUNING else 0


def _in_order(pipeline: Mapping[str, Any], executors: Mapping[str, Any]) -> list[str]:
    """Task names, each after those that it depends on; by name where nothing else decides."""
    dag = ((pipeline.get("root") or {}).get("dag") or {}).get("tasks") or {}
    left = sorted(name.removeprefix("exec-") for name in executors if name.startswith("exec-"))
    ordered: list[str] = []
    while left:
        ready = (n for n in left if not _needed(dag, n) & (set(left) - {n}))
        task = next(ready, left[0])
        left.remove(task)
        ordered.append(task)
    return ordered


def _needed(dag: Mapping[str, Any], task: str) -> set[str]:
    return set((dag.get(task) or {}).get("dependentTasks") or [])


def _task_job(display: str, container: Mapping[str, Any]) -> Body:
    """The custom job behind a pipeline's task; CPU and memory limits become the machine."""
    resources = container.get("resources") or {}
    vcpus = float(resources.get("cpuLimit") or resources.get("resourceCpuLimit") or 4)
    memory = float(resources.get("memoryLimit") or 16)
    size = next((n for n in (2, 4, 8, 16, 32, 64, 96) if n >= vcpus and n * 3.75 >= memory), 96)
    family = "n1-highmem" if size == 2 else "n1-standard"
    spec: Body = {"machineType": f"{family}-{size}"}
    accelerator = resources.get("accelerator") or {}
    if accelerator.get("type"):
        spec["acceleratorType"] = str(accelerator["type"])
        spec["acceleratorCount"] = int(accelerator.get("count") or 1)
    image = {key: container[key] for key in ("command", "args") if key in container}
    pool = {
        "machineSpec": spec,
        "replicaCount": "1",
        "containerSpec": {"imageUri": str(container.get("image") or ""), **image},
    }
    return {"displayName": display, "jobSpec": {"workerPoolSpecs": [pool]}}


def _is_launcher(parent: Job, task: str) -> bool:
    executors = (parent.body["pipelineSpec"].get("deploymentSpec") or {}).get("executors") or {}
    container = (executors.get(f"exec-{task}") or {}).get("container") or {}
    return "--payload" in (container.get("args") or [])


def _task_message(parent: Job, name: str, child: Job) -> str:
    error = child.body.get("error") or {}
    if _is_launcher(parent, name):
        return failure(int(error.get("code") or 0))
    return (
        f"The DAG failed because some tasks failed. The failed tasks are: [{name}].; "
        f"Failed to execute the task {name} of {parent.id}: {error.get('message', '')}"
    )
