"""The reading plan: what is read, within which bounds, and what a source that fails costs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.case import Gap, Probe, Saved, Series
from remediator.cloud.metrics import TRAINING_METRICS
from remediator.domain import (
    JobName,
    Json,
    NotFound,
    PermanentError,
    PermissionDenied,
    Source,
    TransientError,
)
from remediator.evidence.collect import Readers, ReadingPlan, gather
from remediator.evidence.sources import reading_plan_of
from remediator.job import Job
from remediator.policy import load
from tests.waiting import HANG_SECONDS

START = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
END = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 19, 7, tzinfo=UTC)
JOB = Job.parse(
    {
        "name": "projects/471108150815/locations/us-central1/customJobs/77",
        "state": "JOB_STATE_FAILED",
        "createTime": "2026-11-23T18:00:00Z",
        "endTime": "2026-11-23T19:00:00Z",
    }
)
EVERYTHING = ReadingPlan(
    job_ids=("501",),
    project="genomics-lab",
    model="projects/1/locations/us-central1/models/7@2",
    error_files_under="gs://out/run",
    buckets=("near", "far", "near"),
    probes=("https://data.example/",),
    has_metrics=True,
)
SERIES = Series("ml.googleapis.com/training/cpu/utilization", {}, {}, ((END, 1.0),))
QUOTA = Series("serviceruntime.googleapis.com/quota/limit", {}, {}, ((END, 0.0),))
PROBE = Probe("https://data.example/", 0.7, "us-central1")


def entry(number: int, **more: Any) -> dict[str, Any]:
    moment = START + timedelta(seconds=number)
    return {
        "timestamp": moment.isoformat().replace("+00:00", "Z"),
        "insertId": f"i{number}",
        "textPayload": f"line {number}",
        **more,
    }


@dataclass
class World:
    """Every service at once. `spoil` holds what happens instead, by method."""

    log: Sequence[Json] = (entry(1),)
    spoil: dict[str, Callable[[], Any]] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    given: list[float | None] = field(default_factory=list)

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if what[0] in self.spoil:
            self.spoil[what[0]]()

    def model(self, name: str, *, timeout_seconds: float | None = None) -> Json:
        self.given.append(timeout_seconds)
        self._note("model", name)
        return {"name": name}

    def job_filter(
        self, job: JobName, job_ids: Sequence[str], start: datetime, end: datetime
    ) -> str:
        self._note("filter", job.id, tuple(job_ids), start, end)
        return "OURS"

    def entries(
        self,
        project: str,
        query: str,
        *,
        limit: int,
        newest_first: bool = False,
        most_bytes: int = 0,
        timeout_seconds: float | None = None,
    ) -> tuple[Json, ...]:
        self.given.append(timeout_seconds)
        self._note(f"entries{query.removeprefix('OURS')}", project, limit, newest_first)
        wanted = [
            one
            for one in self.log
            if ("severity" not in query or one.get("severity") == "ERROR")
            and ("Telemetry" not in query or "Telemetry" in str(one))
        ]
        wanted = wanted[::-1] if newest_first else wanted
        found, size = [], 0
        for one in wanted[:limit]:
            found.append(one)
            size += len(str(one["textPayload"]))
            if size >= most_bytes:
                break
        return tuple(found)

    def tail(
        self, project: str, query: str, *, limit: int, most_bytes: int, **how: Any
    ) -> tuple[Json, ...]:
        return self.entries(
            project,
            query,
            limit=limit,
            newest_first=True,
            most_bytes=most_bytes,
            timeout_seconds=how["timeout_seconds"],
        )

    def series(
        self,
        job: Job,
        job_ids: Sequence[str] = (),
        *,
        now: datetime | None = None,
        timeout_seconds: float | None = None,
        **_how: object,
    ) -> tuple[Series, ...]:
        self.given.append(timeout_seconds)
        self._note("series", job.name.id, tuple(job_ids), now)
        return (SERIES,)

    def quotas(
        self,
        project: str,
        metrics: Sequence[str],
        *,
        now: datetime,
        timeout_seconds: float | None = None,
    ) -> tuple[Series, ...]:
        self._note("quotas", project, tuple(metrics), now, timeout_seconds)
        return (QUOTA,)

    def error_files(
        self, prefix: str, *, marked: str = "", timeout_seconds: float | None = None
    ) -> Mapping[str, str]:
        self.given.append(timeout_seconds)
        self._note("error_files", prefix, marked)
        return {f"{prefix}/errors_0001.jsonl": "row"}

    def saved(self, folder: str, *, timeout_seconds: float | None = None) -> Saved:
        self.given.append(timeout_seconds)
        self._note("saved", folder)
        return Saved(folder, 2, "ckpt-2", END)

    def bucket_location(self, name: str, *, timeout_seconds: float | None = None) -> str:
        self.given.append(timeout_seconds)
        self._note(f"bucket {name}")
        return {"near": "US-CENTRAL1", "far": "EUROPE-WEST4"}[name]

    def probe(self, url: str) -> Probe:
        self._note("probe", url)
        return PROBE

    def earlier(self, job: Job) -> Sequence[Job]:
        self._note("earlier", job.name.id)
        return [JOB]

    @property
    def readers(self) -> Readers:
        return Readers(self, self, self, self, self.probe, self.earlier)


def read(world: World, reading: ReadingPlan = EVERYTHING, **how: Any) -> Any:
    return gather(JOB, reading, world.readers, **{"now": NOW, "budget_seconds": 60.0, **how})


def fail(error: Exception) -> Callable[[], Any]:
    def spoil() -> None:
        raise error

    return spoil


# --- what is read ------------------------------------------------------------------------------


def test_everything_that_is_named_is_read_and_stands_in_the_case() -> None:
    case = read(World())
    assert case.job is JOB
    assert case.now == NOW
    assert case.model == {"name": EVERYTHING.model}
    assert [line.text for line in case.log_lines] == ["line 1"]
    assert case.series == (SERIES,)
    assert case.error_files == {"gs://out/run/errors_0001.jsonl": "row"}
    assert case.buckets == {"near": "US-CENTRAL1", "far": "EUROPE-WEST4"}
    assert case.probes == (PROBE,)
    assert case.earlier == (JOB,)
    assert case.gaps == ()


def test_a_folder_of_checkpoints_that_may_not_be_listed_says_nothing() -> None:
    named = ReadingPlan(has_logs=False, saved_under="gs://out/run")
    assert read(World(), named).saved == Saved("gs://out/run", 2, "ckpt-2", END)
    refused = read(World(spoil={"saved": fail(PermissionDenied("storage.objects.list"))}), named)
    assert (refused.saved, refused.gaps) == (None, ())


def test_the_log_and_the_metrics_are_asked_for_the_job_and_those_who_worked_for_it() -> None:
    world = World()
    read(world)
    window = (START - timedelta(minutes=1), END + timedelta(minutes=10))
    assert ("filter", "77", ("501",), *window) in world.asked
    assert ("entries", "genomics-lab", 1000, True) in world.asked
    assert ("series", "77", ("501",), NOW) in world.asked


def test_without_a_project_the_one_in_the_name_is_asked() -> None:
    world = World()
    read(world, ReadingPlan())
    assert ("entries", "471108150815", 1000, True) in world.asked


@pytest.mark.parametrize(
    ("reading", "asked"),
    [
        (ReadingPlan(has_logs=False), {"earlier"}),
        (ReadingPlan(), {"filter", "entries", "earlier"}),
        (ReadingPlan(has_logs=False, model="m"), {"model", "earlier"}),
        (ReadingPlan(has_logs=False, error_files_under="gs://x"), {"error_files", "earlier"}),
        (ReadingPlan(has_logs=False, buckets=("near",)), {"bucket near", "earlier"}),
        (ReadingPlan(has_logs=False, probes=("https://x/",)), {"probe", "earlier"}),
        (ReadingPlan(has_logs=False, has_metrics=True), {"series", "earlier"}),
    ],
)
def test_what_is_not_named_is_not_asked(reading: ReadingPlan, asked: set[str]) -> None:
    world = World()
    read(world, reading)
    assert {one[0] for one in world.asked} == asked


def test_a_service_that_is_not_given_is_not_asked() -> None:
    case = gather(JOB, EVERYTHING, Readers(), now=NOW, budget_seconds=HANG_SECONDS)
    assert (case.model, case.log_lines, case.series, case.gaps) == (None, (), (), ())


def test_every_service_is_told_its_deadline_and_none_gets_more_than_the_budget() -> None:
    world = World()
    read(world, budget_seconds=14.0)  # less than any source may take
    assert len(world.given) == 6
    assert all(seconds is not None and 4.0 < seconds <= 14.0 for seconds in world.given)


# --- what a source that fails costs ------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "source", "lost"),
    [
        ("model", Source.MODEL, "model"),
        ("entries", Source.LOG, "log_lines"),
        ("series", Source.METRIC, "series"),
        ("error_files", Source.ERROR_FILE, "error_files"),
        ("probe", Source.PROBE, "probes"),
        ("earlier", Source.HISTORY, "earlier"),
    ],
)
@pytest.mark.parametrize(
    ("error", "why", "may_pass"),
    [
        (TransientError("UNAVAILABLE"), "UNAVAILABLE", True),
        (PermissionDenied("a.b.get denied"), "a.b.get denied", False),
        (NotFound("not there"), "not there", False),
        (PermanentError("no"), "no", False),
        (KeyError("ours"), "reading it failed: KeyError: 'ours'", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_source_that_fails_is_a_gap_and_the_others_stand(
    method: str, source: Source, lost: str, error: Exception, why: str, *, may_pass: bool
) -> None:
    whole = read(World())
    case = read(World(spoil={method: fail(error)}))
    assert case.gaps == (Gap(source, why, may_pass=may_pass),)
    for name in ("model", "log_lines", "series", "error_files", "buckets", "probes", "earlier"):
        if name == lost:
            assert not getattr(case, name)
        else:
            assert getattr(case, name) == getattr(whole, name)


def test_one_bucket_that_is_gone_does_not_hide_the_other() -> None:
    case = read(World(spoil={"bucket near": fail(NotFound("reading bucket near: not found"))}))
    assert case.buckets == {"far": "EUROPE-WEST4"}
    assert case.gaps == (Gap(Source.STORAGE, "reading bucket near: not found"),)


def test_a_source_that_hangs_is_given_up_with_the_budget() -> None:
    release = threading.Event()
    world = World(spoil={"series": release.wait, "model": release.wait})
    case = read(world, budget_seconds=3.0)  # the rest is read meanwhile, on a busy machine too
    release.set()  # only now: what came back before did not wait for it
    assert case.gaps == (
        Gap(Source.MODEL, "no answer within 3 s", may_pass=True),
        Gap(Source.METRIC, "no answer within 3 s", may_pass=True),
    )
    assert [line.text for line in case.log_lines] == ["line 1"]


def test_sources_are_read_side_by_side() -> None:
    """Each waits until all of them have been asked: one after the other would never end."""
    together = threading.Barrier(8)
    meet = {
        name: lambda: together.wait(HANG_SECONDS)
        for name in (
            "model",
            "filter",
            "series",
            "error_files",
            "bucket near",
            "bucket far",
            "probe",
            "earlier",
        )
    }
    assert read(World(spoil=meet)).gaps == ()


# --- the log -----------------------------------------------------------------------------------


def test_a_short_log_costs_one_read() -> None:
    world = World(log=[entry(number) for number in range(999)])
    case = read(world, ReadingPlan())
    assert [line.text for line in case.log_lines] == [f"line {number}" for number in range(999)]
    assert sum(one[0].startswith("entries") for one in world.asked) == 1


def test_of_a_long_log_the_ends_the_first_errors_and_the_telemetry_are_read() -> None:
    def line(number: int) -> dict[str, Any]:
        if number % 50 == 25:
            return entry(number, severity="ERROR")
        if number % 50 == 26:
            return entry(number, textPayload=f'{{"remediatorTelemetry": 1, "n": {number}}}')
        return entry(number)

    world = World(log=[line(number) for number in range(20_000)])
    case = read(world, ReadingPlan())
    texts = [line.text for line in case.log_lines]
    assert texts[0] == "line 0"
    assert texts[-1] == "line 19999"
    assert len(texts) <= 2000
    assert {"line 399", "line 14975", "line 19000"} <= set(texts)  # head, 300th error, tail
    assert any('"n": 5026' in text for text in texts)  # telemetry from where nothing else was read
    assert [line.time for line in case.log_lines] == sorted(line.time for line in case.log_lines)
    assert len(texts) == len(set(texts))
    assert [one for one in world.asked if one[0].startswith("entries")] == [
        ("entries", "471108150815", 1000, True),
        ("entries", "471108150815", 400, False),
        ("entries AND severity>=ERROR", "471108150815", 300, False),
        ('entries AND "remediatorTelemetry"', "471108150815", 300, True),
    ]


def test_a_log_of_huge_lines_stays_within_its_bytes() -> None:
    world = World(log=[entry(n, textPayload=f"{n}" + "x" * 100_000) for n in range(500)])
    case = read(world, ReadingPlan())
    assert sum(len(line.text) for line in case.log_lines) <= 2_200_000
    assert case.log_lines[0].text.startswith("0x")
    assert case.log_lines[-1].text.startswith("499x")


def test_when_the_budget_ends_in_the_middle_the_end_of_the_log_stands() -> None:
    spent = TransientError("the project's log reads for this minute are used up")
    world = World(
        log=[entry(number) for number in range(3000)],
        spoil={"entries AND severity>=ERROR": fail(spent)},
    )
    case = read(world, ReadingPlan())
    assert len(case.log_lines) == 1400
    assert case.gaps == (
        Gap(Source.LOG, f"of a long log only a part was read: {spent}", may_pass=True),
    )


def test_equal_lines_without_an_id_are_one_and_lines_without_a_time_come_last() -> None:
    odd = [
        {"textPayload": "timeless"},
        {"textPayload": "timeless"},
        {"timestamp": "not a time", "textPayload": "odd"},
        entry(5),
        entry(5),
        {**entry(3), "insertId": ""},
    ]
    case = read(World(log=odd), ReadingPlan())
    assert [line.text for line in case.log_lines] == ["line 3", "line 5", "odd", "timeless"]


@pytest.mark.parametrize(
    ("resource", "kept"),
    [
        ({"type": "ml_job", "labels": {"job_id": "77"}}, True),
        ({"type": "ml_job", "labels": {"job_id": "501", "task_name": "service"}}, True),
        ({"type": "global", "labels": {"project_id": "p"}}, True),
        ({"type": "ml_job", "labels": {"job_id": "778"}}, False),
        ({"type": "x", "labels": {"batch_prediction_job_id": "5"}}, False),
        ({"type": "x", "labels": None}, True),
    ],
)
def test_a_line_that_names_another_job_is_no_evidence(
    resource: dict[str, Any], *, kept: bool
) -> None:
    case = read(World(log=(entry(1, resource=resource),)))
    assert [line.text for line in case.log_lines] == (["line 1"] if kept else [])


def test_a_job_without_times_is_read_over_the_last_day() -> None:
    world = World()
    bare = Job.parse({"name": str(JOB.name), "state": "JOB_STATE_RUNNING"})
    gather(bare, ReadingPlan(), world.readers, now=NOW, budget_seconds=HANG_SECONDS)
    window = (NOW - timedelta(days=1, minutes=1), NOW + timedelta(minutes=10))
    assert ("filter", "77", (), *window) in world.asked


def test_quotas_that_the_error_names_are_read_beside_the_metrics() -> None:
    world = World()
    named = ("aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus",)
    plan = ReadingPlan(project="genomics-lab", has_logs=False, has_metrics=True, quotas=named)
    case = gather(JOB, plan, Readers(metrics=world), now=NOW, budget_seconds=HANG_SECONDS)
    assert case.series == (SERIES, QUOTA)
    assert ("quotas", "genomics-lab", named, NOW, 5.0) in world.asked


@pytest.mark.parametrize("why", [PermissionDenied("no"), TransientError("later")])
def test_quotas_that_may_not_be_read_are_no_gap(why: Exception) -> None:
    world = World(spoil={"quotas": lambda: _raise(why)})
    plan = ReadingPlan(project="p", has_logs=False, quotas=("aiplatform.googleapis.com/x_gpus",))
    case = gather(JOB, plan, Readers(metrics=world), now=NOW, budget_seconds=HANG_SECONDS)
    assert (case.series, case.gaps) == ((), ())


USED = Series("serviceruntime.googleapis.com/quota/allocation/usage", {}, {}, ((END, 8.0),))
OF_L4 = ("aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus",)


@pytest.mark.parametrize(
    ("read", "expected"),
    [(PermissionDenied("no"), (USED,)), (TransientError("later"), (USED,)), ((), (USED,)), ((QUOTA,), (QUOTA,))],
    ids=["not-permitted", "no-answer", "nothing-known", "read"],
)  # fmt: skip
def test_where_monitoring_says_nothing_of_a_quota_the_projects_jobs_are_counted(
    read: Any, expected: tuple[Series, ...]
) -> None:
    class Metrics(World):
        def quotas(self, *_: object, **__: object) -> tuple[Series, ...]:
            if isinstance(read, Exception):
                raise read
            return read

    def quota_use(job: Job, metrics: Sequence[str], now: datetime) -> tuple[Series, ...]:
        assert (job, metrics, now) == (JOB, OF_L4, NOW)
        return (USED,)

    plan = ReadingPlan(project="p", has_logs=False, quotas=OF_L4)
    readers = Readers(metrics=Metrics(), quota_use=quota_use)
    case = gather(JOB, plan, readers, now=NOW, budget_seconds=HANG_SECONDS)
    assert (case.series, case.gaps) == (expected, ())


def test_jobs_that_may_not_be_listed_leave_a_quota_unknown() -> None:
    def quota_use(*_: object) -> tuple[Series, ...]:
        raise PermissionDenied("aiplatform.customJobs.list")

    plan = ReadingPlan(project="p", has_logs=False, quotas=OF_L4)
    world = World(spoil={"quotas": lambda: _raise(PermissionDenied("no"))})
    readers = Readers(metrics=world, quota_use=quota_use)
    case = gather(JOB, plan, readers, now=NOW, budget_seconds=HANG_SECONDS)
    assert (case.series, case.gaps) == ((), ())


def _raise(why: Exception) -> None:
    raise why


@pytest.mark.parametrize(
    ("machine_spec", "reads_devices"),
    [
        ({"machineType": "n1-standard-8"}, False),
        ({"machineType": "c9-made-up-8"}, True),
        ({"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}, True),
        (
            {
                "machineType": "n1-standard-8",
                "acceleratorType": "NVIDIA_TESLA_T4",
                "acceleratorCount": 1,
            },
            True,
        ),
        (None, True),
    ],
)
def test_series_of_accelerators_are_read_where_the_job_may_have_any(
    machine_spec: Json | None, reads_devices: bool
) -> None:
    body = JOB.to_json()
    if machine_spec:
        body["jobSpec"] = {"workerPoolSpecs": [{"machineSpec": machine_spec, "replicaCount": "1"}]}
    policies = load(
        "version: 1\nmode: observe\npolicies: [{name: rest, when: {}, do: []}]\n"
    ).policies
    assert policies is not None
    reading = reading_plan_of(Job.parse(body), policies, project="p", settled=False)
    read = [one for one in TRAINING_METRICS if one not in reading.metrics_unread]
    assert any("accelerator" in one for one in read) is reads_devices
    assert len(read) == (5 if reads_devices else 3)


def test_what_a_job_sent_is_read_for_a_file_alone() -> None:
    """No rule for a failure asks after it; who watches a running job from a file does."""
    policies = load(
        "version: 1\nmode: observe\npolicies: [{name: rest, when: {}, do: []}]\n"
    ).require()
    sent = "ml.googleapis.com/training/network/sent_bytes_count"
    judged = reading_plan_of(JOB, policies, project="p", settled=False)
    whole = reading_plan_of(JOB, policies, project="p", settled=False, whole=True)
    assert judged.metrics_unread - whole.metrics_unread == {sent}
