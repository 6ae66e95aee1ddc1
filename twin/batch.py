"""How a batch prediction ends: its model's needs against the request. Pure, like `twin.physics`.

One HTTP request carries a whole batch and may take ten minutes; what that request takes in time and
memory decides nearly everything. More replicas send more requests side by side, and help no single
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from twin.physics import (
    Course,
    Needs,
    Phase,
    Run,
    Serving,
    Shape,
    cuda_out_of_memory,
    lament_no_gpu,
    luck,
)

REQUEST_LIMIT_SECONDS = 600.0
"""One prediction request of a batch job may take ten minutes."""
READY_LIMIT_SECONDS = 2400.0
"""A model server must be ready after about forty minutes."""
DEFAULT_BATCH_SIZE = 64


def run_batch(
    needs: Needs,
    job: Mapping[str, Any],
    *,
    region: str,
    tries: int = 1,
    missing: Sequence[str] = (),
) -> Run:
    """How a BatchPredictionJob (REST shape) ends; `missing`: input URIs that do not exist."""
    resources = job.get("dedicatedResources") or {}
    shape = Shape.of(resources.get("machineSpec") or {})
    serving = needs.serving
    tuning = job.get("manualBatchTuningParameters") or {}
    size = int(tuning.get("batchSize") or DEFAULT_BATCH_SIZE)
    replicas = max(int(resources.get("startingReplicaCount") or 1), 1)
    if (job.get("inputConfig") or {}).get("instancesFormat") == "csv":
        replicas = 1  # CSV input is not partitioned
    told = _Batch(needs, shape, replicas, size)
    if missing:
        return told.ends(
            5, f"Failed to import data. No file was found at {', '.join(missing)}.", started=False
        )
    bad_luck = luck(needs, tries, region=region, spot=bool(resources.get("spot")))
    if bad_luck:
        return told.ends(*bad_luck, started=False)
    return told.load() or told.first_request(serving) or told.finish(serving)


class _Batch:
    """One batch prediction while it is told."""

    def __init__(self, needs: Needs, shape: Shape, replicas: int, size: int) -> None:
        self._needs = needs
        self._shape = shape
        self._replicas = replicas
        self._size = size
        self._story = Course()

    def load(self) -> Run | None:
        """The model server starts; None: it is ready."""
        needs, shape, story = self._needs, self._shape, self._story
        seconds = 20 + needs.load_cpu_seconds / shape.machine.vcpus
        story.say("Starting the model server; loading the model", after=2)
        if needs.gpu != "none" and not shape.gpus:
            lament_no_gpu(story)
        if seconds > READY_LIMIT_SECONDS:
            story.spend(Phase(READY_LIMIT_SECONDS, shape.machine.vcpus, needs.memory_gib, "load"))
            return self.ends(
                4,
                "Error: model server never became ready. Please validate that your model file or "
                "container configuration are valid.",
            )
        story.spend(Phase(seconds, min(shape.machine.vcpus, 2), needs.memory_gib, "load"))
        if needs.memory_gib > shape.memory_gib:
            return self._killed()
        device = "cuda:0" if shape.gpus and needs.gpu != "none" else "cpu"
        story.say(f"Model loaded in {seconds:.1f} s on device {device}; listening on port 8080")
        return None

    def first_request(self, serving: Serving) -> Run | None:
        """The first full request decides about time and memory; None: it went well."""
        needs, shape, story = self._needs, self._shape, self._story
        instances = min(self._size, serving.instances)
        memory = needs.memory_gib + serving.memory_gib * instances
        if memory > shape.memory_gib:
            story.say(f"POST /predict: {instances} instances", after=1)
            story.spend(Phase(30, shape.machine.vcpus * 0.8, shape.memory_gib, "predict"))
            return self._killed()
        if shape.gpus and needs.gpu != "none":
            device = needs.gpu_memory_gib + serving.gpu_memory_gib * instances
            if device > shape.gpu_memory_gib:
                words = cuda_out_of_memory(shape, max(serving.gpu_memory_gib * instances, 0.5))
                story.say(words, err=True, after=4)
                story.spend(Phase(20, 1.0, memory, "predict", 0.6, shape.gpu_memory_gib))
                return self._refused(500, '{"error": "' + words + '"}', 14.21, instances)
        if needs.raises:
            story.say(needs.raises, err=True, after=2)
            story.spend(Phase(5, 1.0, memory, "predict"))
            words = needs.raises.strip().splitlines()[-1]
            return self._refused(500, '{"error": "' + words + '"}', 7.02, instances)
        seconds, cores, busy = self._request(serving, instances)
        if seconds <= REQUEST_LIMIT_SECONDS:
            return None
        story.say(f"POST /predict: {instances} instances", after=1)
        pace = seconds / instances
        for minute in range(2, 10, 2):
            done = min(int(minute * 60 / pace), instances - 1)
            story.say(
                f"predict: {done}/{instances} instances after {minute * 60} s ({pace:.1f} s each)",
                after=minute * 60,
            )
        story.spend(Phase(REQUEST_LIMIT_SECONDS + 0.04, cores, memory, "predict", busy))
        story.say("client closed the connection before the response was sent", err=True)
        return self._refused(504, "upstream request timeout", 600.04, instances)

    def finish(self, serving: Serving) -> Run:
        """All requests, one after the other on each replica."""
        story = self._story
        instances = min(self._size, serving.instances)
        seconds, cores, busy = self._request(serving, instances)
        requests = -(-serving.instances // instances)
        story.say(f"POST /predict 200: {instances} instances in {seconds:.2f} s", after=seconds)
        memory = self._needs.memory_gib + serving.memory_gib * instances
        rounds = -(-requests // self._replicas)
        story.spend(Phase(max(seconds * rounds, 1.0), cores, memory, "predict", busy))
        bad = min(serving.bad_instances, serving.instances)
        rows = [
            (
                (
                    "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result "
                    '422 ({"detail":[{"loc":["body"],"msg":"field required"}]}) from server, retry=3, '
                    "elapsed=0.12s."
                ),
                bad,
            )
        ]
        if bad and bad == serving.instances:
            return self.ends(3, rows[0][0], rows=rows, failed=bad)
        return replace(
            self.ends(0, "", rows=rows if bad else (), failed=bad),
            state="JOB_STATE_SUCCEEDED",
            error=None,
            successful=serving.instances - bad,
            incomplete=0,
        )

    def _request(self, serving: Serving, instances: int) -> tuple[float, float, float]:
        """(seconds, busy cores, GPU utilisation) of one request."""
        shape = self._shape
        if serving.gpu_seconds and shape.gpus and self._needs.gpu != "none":
            seconds = serving.overhead_seconds + serving.gpu_seconds * instances / shape.gpu_speed
            return seconds, 1.2, 0.85
        # About one vCPU of each replica goes to the system.
        vcpus = max(shape.machine.vcpus - 1, 1)
        work = serving.cpu_seconds * instances
        compute = work * (1 - serving.parallel) + work * serving.parallel / vcpus
        seconds = serving.overhead_seconds + compute
        return seconds, min(work / seconds + 0.3, shape.machine.vcpus * 0.98), 0.0

    def _refused(self, code: int, words: str, elapsed: float, instances: int) -> Run:
        message = (
            "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result "
            f"{code} ({words}) from server, retry=3, elapsed={elapsed:.2f}s."
        )
        total = self._needs.serving.instances
        return self.ends(
            4 if code == 504 else 13,
            message,
            rows=[(message, instances)],
            failed=min(instances, total),
        )

    def _killed(self) -> Run:
        return self.ends(
            9,
            "Model server terminated: model server container terminated: exit_code: 137 "
            'reason: "OOMKilled".',
            rows=[("Model server terminated", min(self._size, self._needs.serving.instances))],
        )

    def ends(
        self,
        code: int,
        message: str,
        *,
        rows: Sequence[tuple[str, int]] = (),
        failed: int = 0,
        started: bool = True,
    ) -> Run:
        """The run, failed with this error."""
        total = self._needs.serving.instances
        return Run(
            state="JOB_STATE_FAILED",
            startup_seconds=self._needs.startup_seconds,
            run_seconds=self._story.at + 30,
            error=(code, message),
            lines=tuple(self._story.lines),
            phases=tuple(self._story.phases),
            started=started,
            failed=failed,
            incomplete=total - failed,
            error_rows=tuple(rows),
            machine=self._shape.machine,
            gpus=self._shape.gpus,
            gpu_kind=self._shape.gpu_kind,
            replicas=self._replicas,
        )
