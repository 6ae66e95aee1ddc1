"""`Job`: one job, parsed once, asked by everybody; what changes in it is written back by path.

Owns the answers that other rooms may have of a job, each found once. The document itself stays in
the room: it leaves as `request()` to be sent and as `to_json()` for a case file. Must not decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from remediator.catalog.catalog import Catalog
from remediator.catalog.machines import Service
from remediator.domain import JobKind, JobName, JobState, Json, parse_seconds, rfc3339
from remediator.job import (
    data_places,
    ending,
    fields,
    machines,
    pipeline,
    programs,
    relations,
    workload,
)
from remediator.job.document import Document, read, spelled, whole_number
from remediator.job.facts import JobFacts, facts
from remediator.job.fields import Kind, Pool


def _as_count(found: re.Match[str]) -> str:
    return "Count" if found[1] == "T" else "count"


class Job(Document, frozen=True):
    """One job of any kind, in either spelling, as the rooms know it."""

    # --- machines ---------------------------------------------------------------------------------

    @cached_property
    def _rules(self) -> Kind:
        return fields.rules(self)

    @property
    def service(self) -> Service:
        """Which of Vertex's services gives the job its machines."""
        return self._rules.service

    @property
    def changeable(self) -> frozenset[str]:
        """Keys of `resubmit` that this kind of job has something to change for."""
        return self._rules.legal

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        """Every pool of the job that has a machine type, in the job's order."""
        return machines.pools(self)

    def failed_pools(self, *evidence: str) -> frozenset[str]:
        """Names of the pools that the evidence, else the job's error, names as having failed."""
        return fields.failed_pools(self, *evidence)

    def run_alike(self, one: Pool, other: Pool) -> bool:
        """Whether two worker pools run the same program on the same machines."""
        return one.hardware == other.hardware and fields.run_same_program(self, one, other)

    def facts(self, catalog: Catalog, model: Json | None = None) -> JobFacts:
        """What diagnosis and policies say of the job and of its Model, where it has one."""
        return facts(self, catalog, model)

    @property
    def is_stand_in(self) -> bool:
        """Whether nobody gave a job: `inputs` stands one in, of project `-`, for a log that came alone."""
        return self.name.project == "-"

    @cached_property
    def replicas(self) -> int:
        """Machines of all pools together, at least 1."""
        return max(1, sum(pool.replicas for pool in self.pools))

    @cached_property
    def most_replicas(self) -> int:
        """`maxReplicaCount` of a batch prediction, or Vertex's default for it."""
        stated = whole_number(self.read("dedicatedResources.maxReplicaCount"))
        return stated or fields.DEFAULT_MAX_REPLICAS

    @cached_property
    def parallel_trials(self) -> int:
        """How many trials of a tuning job run side by side; 1 for any other job."""
        if not fields.runs_trials(self):
            return 1
        return max(1, whole_number(self._of_trials("parallelTrialCount")) or 1)

    @cached_property
    def trials(self) -> int | None:
        """How many trials a tuning job makes in all; None where it does not say, or makes none."""
        return whole_number(self._of_trials("maxTrialCount")) if fields.runs_trials(self) else None

    def _of_trials(self, key: str) -> Any:
        holder = "" if self.kind is JobKind.HYPERPARAMETER_TUNING else "trainingTaskInputs."
        return read(self, f"{holder}{key}")

    # --- what it asks for -------------------------------------------------------------------------

    @cached_property
    def service_account(self) -> str | None:
        """The account the job's containers run as, where the job names one."""
        return fields.service_account(self)

    @cached_property
    def batch_size(self) -> int | None:
        """Instances in one request of a batch prediction on its own machines; None for other jobs."""
        return fields.batch_size(self)

    @cached_property
    def model_name(self) -> str | None:
        """The model of a batch prediction, as the job names it, without its version."""
        return fields.model_name(self)

    @cached_property
    def model_path(self) -> str:
        """The model of a batch prediction exactly as the job names it; empty where it names none."""
        return str(self.read("model") or "")

    @property
    def is_gemini_batch(self) -> bool:
        """A batch prediction on a model of Google's, which has no machines of its own."""
        return self.kind is JobKind.BATCH_PREDICTION and "publishers/" in self.model_path

    @property
    def max_wait_seconds(self) -> float | None:
        """How long a FLEX_START job waits for its machines, where it says so itself."""
        return parse_seconds(self.read(self.max_wait_path)) if self._rules.scheduling else None

    def as_of(self, now: datetime) -> Self:
        """The job as if it had ended at `now`: for what is judged of a run so far."""
        return self.changed("endTime", rfc3339(now))

    def before_its_end(self, *, started: bool) -> Self:
        """The job as Vertex showed it before it ended: RUNNING, or PENDING before it had machines.

        Whether it was QUEUED for a while is no longer known of a job that has started.
        """
        waiting = JobState.QUEUED if self.state is JobState.QUEUED else JobState.PENDING
        body = self.request()
        gone = {"endTime", "error", "updateTime"} | (set() if started else {"startTime"})
        kept = {key: value for key, value in body.items() if key not in gone}
        state = JobState.RUNNING if started else waiting
        return type(self)(self.name, {**kept, "state": state.value})

    @cached_property
    def pinned_model(self) -> str:
        """`model@version` of a batch prediction, since the default version may have moved since."""
        return workload.pinned_model(self)

    @cached_property
    def strategy(self) -> str | None:
        """How its machines are got: `STANDARD`, `SPOT`, …; None: the kind has no such field."""
        return fields.strategy(self)

    @cached_property
    def is_spot(self) -> bool:
        """Whether the job runs on machines that may be taken back."""
        return fields.is_spot(self)

    @property
    def is_flex_start(self) -> bool:
        """Whether the job waits for machines as long as it says itself (Dynamic Workload Scheduler)."""
        return self.strategy == "FLEX_START"

    @cached_property
    def timeout_seconds(self) -> float | None:
        """The time-out that the job sets; None where it sets none. A tuning job's is of one trial."""
        return fields.timeout_seconds(self)

    @cached_property
    def asks_for_explanations(self) -> bool:
        return self.read("generateExplanation") is True

    @cached_property
    def instances_format(self) -> str:
        """`csv`, `jsonl`, … of a batch prediction's input, in lower case; empty where it says none."""
        return str(self.read("inputConfig.instancesFormat") or "").lower()

    @cached_property
    def is_automl(self) -> bool:
        """Whether a training pipeline trains a model of Google's, with no machines to be seen."""
        return fields.is_automl(self)

    # --- how it ended -----------------------------------------------------------------------------

    @cached_property
    def ran_into_timeout(self) -> bool:
        """Whether the job's own time-out ended it, by its state, its duration or its error."""
        return ending.ran_into_timeout(self)

    @property
    def command_limit_seconds(self) -> float | None:
        """The seconds after which `timeout` in the job's own command ended it; None where it did not."""
        return ending.command_limit_seconds(self)

    @property
    def trials_ran_out(self) -> bool:
        """Whether a tuning job was cancelled when its trials had run as long as one may, and none had ended."""
        return ending.trials_ran_out(self)

    @property
    def part_timeout(self) -> ending.PartTimeout | None:
        """The time-out that ended the trials or tasks of which the job failed; None where none did."""
        return ending.part_timeout(self)

    @cached_property
    def cancelled_by_person(self) -> bool:
        """A cancelled job that its own time-out did not end."""
        return ending.cancelled_by_person(self)

    @cached_property
    def failed_instances(self) -> int:
        """How many instances of a batch prediction failed; 0 where none did or nobody counted."""
        return ending.failed_instances(self)

    @cached_property
    def instance_counts(self) -> tuple[int, int, int]:
        """Instances that succeeded, failed and were not reached; -1 is Vertex's "not known"."""
        return ending.instance_counts(self)

    @cached_property
    def is_failure(self) -> bool:
        """What the product calls a failure: see the contract's list of states."""
        return ending.is_failure(self)

    @cached_property
    def succeeded_trials(self) -> int:
        """How many trials of a tuning job have succeeded."""
        return ending.succeeded_trials(self)

    @cached_property
    def replica_hours(self) -> float | None:
        """Machine hours that Vertex itself has counted; None where it has counted none."""
        measured = self.read("resourcesConsumed.replicaHours")
        return float(measured) if isinstance(measured, int | float) and measured > 0 else None

    @cached_property
    def faults(self) -> tuple[ending.Fault, ...]:
        """The job's error, those of its tasks and trials, and its partial failures, in this order."""
        return ending.faults(self)

    def exit_code(self, *texts: str) -> int | None:
        """What its program ended with, by the job's error or else the texts; None: nobody says."""
        return ending.exit_code(self, *texts)

    # --- relations --------------------------------------------------------------------------------

    @cached_property
    def parent(self) -> str:
        """What the job's labels say it is a part of, in words; empty: nothing."""
        return relations.parent_of(self)

    @cached_property
    def children(self) -> tuple[str, ...]:
        """Resource names of the jobs that this one started, in the order it lists them."""
        return relations.children_of(self)

    @cached_property
    def launched(self) -> tuple[str, ...]:
        """Of a pipeline run: the jobs that its failed tasks launched, not those they ran as."""
        return pipeline.launched(self) if self.kind is JobKind.PIPELINE else ()

    def has_child(self, name: JobName) -> bool:
        """Whether the job names that one as its own; projects by id and number are taken as one."""
        return relations.has_child(self, name)

    @cached_property
    def log_ids(self) -> tuple[str, ...]:
        """Numeric ids under which worker logs and metrics are kept: its own, its children's."""
        return relations.log_identity(self)

    @cached_property
    def workload_digest(self) -> str:
        """The same for two jobs that do the same work, on whatever machines: 16 hex digits."""
        return workload.workload_digest(self)

    @cached_property
    def programs(self) -> tuple[Any, ...]:
        """Image, command and arguments of each worker pool: jobs of one workload have the same."""
        return programs.programs(self)

    @cached_property
    def first_processes(self) -> tuple[tuple[str, ...], ...]:
        """Command and arguments of each worker pool whose first process the job itself names."""
        return programs.first_processes(self)

    @property
    def nfs_mount_points(self) -> tuple[str, ...]:
        """Folders at which the worker pools mount NFS; empty where none does."""
        return programs.nfs_mount_points(self)

    def images(self, model: Json | None = None) -> tuple[str, ...]:
        """Container images that the job and its Model run."""
        return programs.images(self, model)

    def cpu_only_image(self, model: Json | None = None) -> str:
        """An image that its name says is built for CPUs, where none is built for GPUs; else empty."""
        return programs.cpu_only_image(self, model)

    @property
    def sharding_setting(self) -> str:
        """The argument or variable that spreads a model over as many devices as there are; empty: none does."""
        return programs.sharding_setting(programs.settings(self))

    # --- places -----------------------------------------------------------------------------------

    @cached_property
    def base_output(self) -> str:
        """Where the job keeps its checkpoints and results; empty where it names no such place."""
        return fields.base_output(self)

    @cached_property
    def output_folder(self) -> str:
        """The folder that Vertex made for a batch prediction's output; empty where there is none."""
        return fields.text(self, "outputInfo.gcsOutputDirectory")

    @cached_property
    def output_prefix(self) -> str:
        """The prefix that a batch prediction asked its output to be under."""
        return fields.text(self, "outputConfig.gcsDestination.outputUriPrefix")

    @cached_property
    def buckets(self) -> tuple[str, ...]:
        """Buckets that the job reads or writes, as far as its request names them, in order."""
        return data_places.buckets_of(self)

    @cached_property
    def input_buckets(self) -> tuple[str, ...]:
        """Those of `buckets` that are named elsewhere than as the output."""
        return data_places.buckets_of(self, inputs_only=True)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """BigQuery tables (`project.dataset.table`) that the job's request names, in order."""
        return data_places.bigquery_of(self)

    @cached_property
    def urls(self) -> tuple[str, ...]:
        """Web addresses anywhere in the job's document, in order."""
        return data_places.urls(self)

    @cached_property
    def configuration_text(self) -> str:
        """Everything that the job's request says, as one text: for words to be sought in."""
        return data_places.configuration_text(self)

    def external_hosts(self, model: Json | None = None) -> tuple[str, ...]:
        """Hosts outside Google that the job's configuration or its Model's container names."""
        return data_places.external_hosts(self, model)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Encryption keys that the job uses."""
        return fields.keys(self)

    @cached_property
    def tied_to(self) -> tuple[tuple[str, str], ...]:
        """What else of Vertex's own the job names, each in one region: (what it is, its name)."""
        return fields.tied_to(self)

    @cached_property
    def persistent_resource(self) -> str:
        """The persistent resource that the job runs on; empty where it names none."""
        return fields.persistent_resource(self)

    @cached_property
    def network(self) -> str:
        """How the job hangs on a network, in words; empty: it does not."""
        return fields.network(self)

    # --- changes ----------------------------------------------------------------------------------

    def clone(self) -> Job:
        """The job as it would be asked for again: output-only fields gone, model version pinned."""
        return workload.clone(self)

    @cached_property
    def environments(self) -> tuple[str, ...]:
        """Paths of the containers' lists of environment variables (present or not)."""
        return programs.environments(self)

    def devices_beside(self, type_path: str) -> int | None:
        """The count that stands beside an accelerator's type, whose path is given; None where none does."""
        return whole_number(self.read(re.sub(r"([tT])ype$", _as_count, type_path)))

    @property
    def counts_path(self) -> str:
        """Where a batch prediction says how many instances succeeded and failed."""
        return fields.COUNTS

    @cached_property
    def command_lines(self) -> tuple[str, ...]:
        """Paths of the containers' lists of arguments and command words, those that are there."""
        return programs.command_lines(self)

    def variables_at(self, path: str) -> tuple[tuple[int, str, str], ...]:
        """(index, name, value) of each variable in a container's environment at the path."""
        held = self.read(path)
        listed = held if isinstance(held, list | tuple) else ()
        return tuple(
            (index, str(item.get("name") or ""), str(item.get("value") or ""))
            for index, item in enumerate(listed)
            if isinstance(item, Mapping)
        )

    def variable_at(self, path: str) -> str:
        """The name of the variable whose place in an environment is given; empty: there is none."""
        return str(self.read(f"{path}.name") or "")

    def flag_before(self, path: str) -> str:
        """The flag whose value stands at an argument's place, as `--batch` of `--batch 32`.

        Empty where the argument before it is no flag, or there is none.
        """
        items, _, index = path.rstrip("]").rpartition("[")
        if not int(index):
            return ""
        flag = self.read(f"{items}[{int(index) - 1}]")
        return flag if isinstance(flag, str) and flag.startswith("-") else ""

    def setting_at(self, path: str) -> str:
        """The variable or the flag whose value stands at a path; empty for any other field."""
        holder, _, key = path.rpartition(".")
        if key == "value" and holder.endswith("]"):
            return self.variable_at(holder)
        is_number = key.startswith(("args[", "command[")) and str(self.read(path)).isdecimal()
        return self.flag_before(path) if is_number else ""

    def without_our_variables(self) -> Job:
        """A copy without the variables that we set in the containers."""
        job = self
        for path in self.environments:
            if any(
                name.startswith(fields.OUR_ENVIRONMENT) for _, name, _ in job.variables_at(path)
            ):
                job = job.with_our_variables(path, {})
        return job

    @property
    def batch_size_path(self) -> str:
        return fields.BATCH_SIZE

    @property
    def most_replicas_path(self) -> str:
        return fields.MOST_REPLICAS

    @property
    def explanations_path(self) -> str:
        return fields.EXPLANATIONS

    @property
    def timeout_path(self) -> str:
        return spelled(self, f"{self._rules.scheduling}.timeout")

    @property
    def max_wait_path(self) -> str:
        return spelled(self, f"{self._rules.scheduling}.maxWaitDuration")

    @property
    def strategy_path(self) -> str:
        return spelled(self, f"{self._rules.scheduling}.strategy")

    @cached_property
    def batch_strategy_paths(self) -> tuple[str, ...]:
        """Where a batch prediction of v1beta1 says how it gets its machines; empty: it says nothing."""
        on_demand = self.strategy in {None, "STANDARD"}
        if self.kind is not JobKind.BATCH_PREDICTION or on_demand:
            return ()
        return "dedicatedResources.spot", "dedicatedResources.flexStart"

    @property
    def base_output_path(self) -> str:
        return spelled(self, self._rules.base_output)

    def with_trials(self, count: int) -> Job:
        """A copy that makes so many trials in all."""
        holder = "" if self.kind is JobKind.HYPERPARAMETER_TUNING else "trainingTaskInputs."
        return self.changed(spelled(self, f"{holder}maxTrialCount"), count)

    def with_display_name(self, name: str) -> Job:
        return self.changed("displayName", name)

    def with_labels(self, labels: dict[str, str]) -> Job:
        return self.changed("labels", labels)

    def with_our_variables(self, path: str, ours: dict[str, str]) -> Job:
        """A copy in which our variables stand behind a container's own, and old ones of ours are gone."""
        kept = [v for v in self.read(path) or () if not programs.is_our_variable(v)]
        return self.changed(path, [*kept, *({"name": k, "value": v} for k, v in ours.items())])
