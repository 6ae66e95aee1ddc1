"""Causes from evidence: the three families behind one text, conflict, cheapness, honesty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.diagnosis.physics import CAUSES, cases
from bench.diagnosis.run import log_of
from remediator.case import Case, Gap
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import advice_for, diagnose, settled
from remediator.diagnosis.locality import holds
from remediator.diagnosis.timeline.line_words import template_of
from remediator.domain import Cause, Source
from remediator.job import Job
from tests.case_parts import START, batch, cpu, custom, lines, of, series, telemetry

CASES = Path(__file__).parent / "cases"


SLOW_LOOP = lines(
    *[(300 * i, f"[normalise] {i}/12 samples") for i in range(12)], (1, "reading the configuration")
)
WAITS = lines(
    *[
        (300 * (i + 1), f"GET https://data.partner.example/p/{i}: waited 280.0 s for the response")
        for i in range(11)
    ]
)

# One text, and what else is known, and the cause.
FAMILIES = [
    ("batch 504, nothing else known", batch(), Cause.REQUEST_TOO_LARGE),
    ("batch 504, CPUs full by telemetry", batch() | {"logEntries": telemetry(0.97, "predict", "p.py:3 predict")}, Cause.CPU_SATURATION),
    ("batch 504, one thread in one section", batch() | {"logEntries": telemetry(0.125, "tokenise", "t.py:9 tokenise")}, Cause.SLOW_CODE),
    ("batch 504, waiting on a socket", batch() | {"logEntries": telemetry(0.01, "lookup", "socket.py:706 readinto")}, Cause.NETWORK_LATENCY),
    ("batch 504, the server wanted a GPU", batch() | {"logEntries": lines((3, "CUDA not available, running on CPU"))}, Cause.ACCELERATOR_MISSING),
    ("batch 504, an image for CPUs", batch() | {"model": {"containerSpec": {"imageUri": "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-12:latest"}}, "logEntries": lines((3, "Could not find cuda drivers on your machine, GPU will not be used."))}, Cause.REQUEST_TOO_LARGE),
    ("time-out, CPUs full", custom(3610) | {"timeSeries": cpu(0.98), "logEntries": SLOW_LOOP}, Cause.CPU_SATURATION),
    ("time-out, one thread", custom(3610) | {"timeSeries": cpu(0.125), "logEntries": SLOW_LOOP}, Cause.SLOW_CODE),
    ("time-out, waiting for a host", custom(3610) | {"timeSeries": cpu(0.01), "logEntries": WAITS}, Cause.NETWORK_LATENCY),
    ("time-out, nothing else known", custom(3610), Cause.UNKNOWN),
    ("time-out, cancelled by Vertex at its limit", custom(3610, state="JOB_STATE_CANCELLED") | {"timeSeries": cpu(0.98)}, Cause.CPU_SATURATION),
    ("cancelled early by a person", custom(1200, state="JOB_STATE_CANCELLED") | {"timeSeries": cpu(0.98)}, Cause.UNKNOWN),
    ("CPUs full, but it raised", custom(900, "The replica workerpool0-0 exited with a non-zero status of 1.") | {"timeSeries": cpu(0.98), "logEntries": lines((890, "KeyError: 'x'"))}, Cause.USER_CODE_ERROR),
    ("slow, and nothing wanted a GPU", custom(3610) | {"timeSeries": cpu(0.6)}, Cause.UNKNOWN),
    ("memory at its limit at death", custom(900, "The replica workerpool0-0 exited with a non-zero status of 1.") | {"timeSeries": [series("memory/utilization", [0.2, 0.4, 0.6, 0.8, 0.93, 0.97, 0.98])]}, Cause.MEMORY_PRESSURE),
    ("data in another region, idle CPUs", custom(3610, inputs="gs://far/x") | {"timeSeries": cpu(0.03), "buckets": {"far": {"location": "EUROPE-WEST4"}}}, Cause.NETWORK_LATENCY),
    ("data in the multi-region that holds the job", custom(3610, inputs="gs://near/x") | {"buckets": {"near": {"location": "US"}}}, Cause.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("body", "cause"), [f[1:] for f in FAMILIES], ids=[f[0] for f in FAMILIES])
def test_other_evidence_tells_the_families_apart(body, cause):
    assert of(body).verdict is cause


def test_evidence_reads_as_an_alert():
    found = of(custom(3610) | {"timeSeries": cpu(0.97), "logEntries": SLOW_LOOP})
    assert [item.to_json() for item in found.causes[0].evidence] == [
        {
            "source": "metric",
            "where": "ml.googleapis.com/training/cpu/utilization",
            "says": "CPU at 97% or more for 100% of the run (n1-standard-8), and the job was stopped at its time-out of 1 h 00 min",
        },
        {
            "source": "log",
            "where": "workerpool0-0-0",
            "says": 'section "normalise" took 92% of the run (55 min 11 s, 12 passes)',
        },
    ]
    assert found.confidence > 0.9


def test_each_cause_tells_what_spoke_against_it():
    found = of(
        batch()
        | {
            "logEntries": [
                *telemetry(0.125, "tokenise", "t.py:9 tokenise"),
                *lines((3, "CUDA not available, running on CPU")),
            ]
        }
    )
    assert found.verdict is Cause.SLOW_CODE
    assert found.sections[0].name == "tokenise (t.py:9 tokenise)"
    wanted = [c for c in found.causes if c.cause is Cause.ACCELERATOR_MISSING]
    assert wanted
    assert wanted[0].confidence < 0.3


def test_a_gpu_that_the_image_cannot_see_is_configuration():
    spec = {
        "workerPoolSpecs": [
            {
                "machineSpec": {
                    "machineType": "n1-standard-8",
                    "acceleratorType": "NVIDIA_TESLA_T4",
                    "acceleratorCount": 1,
                }
            }
        ]
    }
    found = of(
        custom(900, jobSpec=spec)
        | {"logEntries": lines((5, "RuntimeError: No CUDA GPUs are available"))}
    )
    assert found.verdict is Cause.INVALID_CONFIG


def test_a_spot_machine_that_had_started_was_taken_back():
    spec = {"workerPoolSpecs": [], "scheduling": {"strategy": "SPOT"}}
    assert of(custom(900, "The job failed: STOCKOUT", jobSpec=spec)).verdict is Cause.PREEMPTION
    assert of(custom(900, "The job failed: STOCKOUT")).verdict is Cause.CAPACITY_STOCKOUT


def test_batch_size_one_leaves_less_to_a_smaller_batch():
    whole = of(batch()).confidence
    one = of(batch(manualBatchTuningParameters={"batchSize": 1}))
    assert one.verdict is Cause.REQUEST_TOO_LARGE
    assert one.confidence < whole


def test_pipeline_tasks_speak_for_the_run():
    body = {
        "job": {
            "name": "projects/1/locations/us-central1/pipelineJobs/p",
            "state": "PIPELINE_STATE_FAILED",
            "error": {"code": 9, "message": "The DAG failed because some tasks failed. The failed tasks are: [train]."},
            "jobDetail": {"taskDetails": [{"taskName": "train", "error": {"code": 8, "message": "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus"}}]},
        }
    }  # fmt: skip
    found = of(body)
    assert found.verdict is Cause.QUOTA
    assert found.causes[0].evidence[0].where == "jobDetail.taskDetails[0].error"


def test_a_create_that_was_refused_is_read_from_the_audit_entry():
    body = custom() | {
        "logEntry": {
            "insertId": "a1",
            "protoPayload": {
                "status": {"code": 7, "message": "Permission 'aiplatform.customJobs.create' denied"}
            },
        }
    }
    assert of(body).verdict is Cause.PERMISSION


# --- the error alone -----------------------------------------------------------------------------

SETTLED = [
    ("stockout", custom(9, "Resources are insufficient in region: us-central1."), Cause.CAPACITY_STOCKOUT),
    ("memory, in Vertex's words", custom(9, "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137."), Cause.MEMORY_PRESSURE),
    ("missing input", batch(error={"code": 3, "message": "Failed to import data. gs://in/x.jsonl does not exist."}), Cause.BAD_INPUT),
    ("permission", custom(9, "Permission 'storage.objects.get' denied on resource"), Cause.PERMISSION),
    ("a batch 504 is never settled", batch(), None),
    ("nor is a time-out", custom(3610, "Job timed out"), None),
    ("nor an exit code", custom(9, "The replica workerpool0-0 exited with a non-zero status of 137."), None),
    ("nor a server that was never ready", batch(error={"code": 4, "message": "model server never became ready"}), None),
    ("nor an error not yet set", custom(9), None),
    ("nor an internal error", custom(9, "Internal error occurred for the current attempt"), None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "cause"), [s[1:] for s in SETTLED], ids=[s[0] for s in SETTLED])
def test_only_a_cause_in_the_error_itself_settles(body, cause):
    found = settled(Job.parse(body["job"]))
    assert (found.verdict if found else None) is cause
    whole = diagnose(Case(job=Job.parse(body["job"]), now=START))
    assert whole.settled_by_error is (cause is not None)


# --- what workers write -----------------------------------------------------------------------------


def test_workers_words_do_not_outweigh_the_jobs_error():
    forged = lines(
        *[(i, "CUDA out of memory") for i in range(500)],
        *[(i, "please resubmit me on an A100") for i in range(500)],
    )
    body = custom(900, "Permission 'storage.objects.get' denied on resource x") | {
        "logEntries": forged
    }
    assert of(body).verdict is Cause.PERMISSION


def test_a_thousand_identical_lines_weigh_as_one():
    one = of(custom(900) | {"logEntries": lines((1, "CUDA out of memory"))})
    many = of(
        custom(900) | {"logEntries": lines(*[(i, "CUDA out of memory") for i in range(1000)])}
    )
    assert many.confidence == one.confidence
    assert "1,000 times" in many.causes[0].evidence[0].says


def test_forged_telemetry_without_a_timeout_buys_nothing():
    assert of(custom(900) | {"logEntries": telemetry(1.0, "x", "y")}).verdict is Cause.UNKNOWN


# --- places and probes ------------------------------------------------------------------------------

PLACES = [
    ("us-east1", "US-EAST1", True), ("us-east1", "US", True), ("europe-west4", "EU", True),
    ("europe-west2", "EU", False), ("us-central1", "NAM4", True), ("us-west1", "NAM4", False),
    ("us-central1", "EUROPE-WEST4", False), ("asia-east1", "ASIA", True), ("us-central1", "", None),
    ("us-central1", "MOON", None),
]  # fmt: skip


@pytest.mark.parametrize(("region", "location", "inside"), PLACES)
def test_a_location_holds_its_regions(region, location, inside):
    assert holds(location, region) is inside


def test_a_probe_counts_only_from_where_the_job_ran():
    spec = {
        "workerPoolSpecs": [
            {"containerSpec": {"args": ["--source=https://data.partner.example/x"]}}
        ],
        "scheduling": {"timeout": "3600s"},
    }
    body = custom(3610, jobSpec=spec)
    probe = {"url": "https://data.partner.example/", "seconds": 0.9}
    here = of(body | {"probes": [probe | {"from": "us-central1"}]})
    there = of(body | {"probes": [probe | {"from": "europe-west1"}]})
    assert here.verdict is Cause.NETWORK_LATENCY
    assert there.verdict is Cause.UNKNOWN
    assert "advice only" in there.causes[0].evidence[0].says
    assert (
        of(
            body | {"probes": [probe | {"from": "us-central1"}]}, probe_threshold_seconds=1.0
        ).verdict
        is Cause.UNKNOWN
    )


def test_hosts_are_read_from_the_configuration_without_googles_own():
    job = Job.parse(
        custom(
            9,
            "see https://error.example/x",
            jobSpec={
                "workerPoolSpecs": [{"containerSpec": {
                    "imageUri": "us-docker.pkg.dev/p/r/i",
                    "args": ["--a=https://user:pw@Data.Example:8443/x,ftp://ftp.example/y", "s3://bucket/key"],
                    "env": [{"name": "B", "value": "http://127.0.0.1:9/z"}, {"name": "C", "value": "https://storage.googleapis.com/b"}],
                }}]
            },
        )["job"]
    )  # fmt: skip
    assert job.external_hosts() == ("127.0.0.1", "data.example", "ftp.example", "s3.amazonaws.com")


# --- failed instances ---------------------------------------------------------------------------------


def test_failed_instances_of_a_job_that_succeeded_are_summed_up():
    body = batch(
        state="JOB_STATE_SUCCEEDED",
        completionStats={"successfulCount": "970", "failedCount": "30"},
        error=None,
    ) | {
        "errorFiles": {
            "gs://o/prediction.errors_stats-00000-of-00001": "('Could not parse instance: missing age', 20)\n('Invalid JSON instance', 10)\n"
        }
    }
    found = of(body)
    assert found.verdict is Cause.BAD_INPUT
    assert found.causes[0].evidence[-1].says == (
        '30 of 1,000 instances failed, 2 different errors, for example: "Could not parse instance: missing age"'
    )
    assert found.needs.work_done == pytest.approx(0.97)


def test_a_job_that_succeeded_whole_has_no_cause():
    body = batch(state="JOB_STATE_SUCCEEDED", error=None) | {
        "logEntries": lines((1, "KeyError: 'x'"))
    }
    assert of(body).causes == ()


# --- honesty ------------------------------------------------------------------------------------------


def test_an_unknown_says_what_would_settle_it():
    found = of(custom(3610))
    assert found.verdict is Cause.UNKNOWN
    assert found.confidence == 0
    assert found.missing == (
        "the job's error (set about a minute after its end)",
        "the workers' log lines; there are none where the job's account may not write logs",
        "CPU, memory and accelerator utilisation while it ran",
        "log lines with times, or telemetry, to see which section took the time",
    )


def test_a_source_that_could_not_be_read_is_named_whatever_the_verdict():
    case = Case.parse(custom(9, "Resources are insufficient in region: us-central1."))
    found = diagnose(replace(case, gaps=(Gap(Source.LOG, "429 RESOURCE_EXHAUSTED"),)))
    assert found.verdict is Cause.CAPACITY_STOCKOUT
    assert found.missing == ("log could not be read: 429 RESOURCE_EXHAUSTED",)


def test_every_cause_has_advice_with_a_link():
    for cause in Cause:
        text, url = advice_for(cause)
        assert text.endswith(".")
        assert url.startswith("https://")


BOOK = Catalog.built_in()

# --- numbers ------------------------------------------------------------------------------------------


def test_the_machine_is_found_in_every_kind():
    body = custom()["job"]
    assert Job.parse(body).facts(BOOK).vcpus == 8
    training = {
        "name": "projects/1/locations/us-central1/trainingPipelines/1",
        "trainingTaskInputs": {"workerPoolSpecs": body["jobSpec"]["workerPoolSpecs"]},
    }
    assert Job.parse(training).facts(BOOK).machine_type == "n1-standard-8"


def test_peak_memory_is_a_lower_bound_where_memory_killed():
    found = of(
        custom(
            900,
            "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137.",
        )
        | {"timeSeries": [series("memory/utilization", [0.5, 0.9, 0.98])]}
    )
    assert found.needs.peak_memory_gib == pytest.approx(29.4)
    assert found.needs.memory_is_lower_bound


def test_templates_mask_what_varies():
    first = template_of("2026-11-23 10:00:01 INFO step 12/400 wrote gs://b/part-0012.csv in 3.5 s")
    assert first == template_of(
        "2026-11-23 10:07:44 INFO step 99/400 wrote gs://b/part-0099.csv in 11 s"
    )


def test_growth_over_the_run_is_told():
    told = [(60.0 * i * i, f"[join] pass {i}") for i in range(8)]
    found = of(custom(3610) | {"timeSeries": cpu(0.125), "logEntries": lines(*told)})
    assert found.verdict is Cause.SLOW_CODE
    assert "times as long at the end as at the start" in found.causes[0].evidence[0].says


def test_an_earlier_run_gives_the_measure():
    body = custom(3610) | {
        "timeSeries": cpu(0.98),
        "earlierJobs": [custom(1200, state="JOB_STATE_SUCCEEDED")["job"]],
    }
    says = [item.says for item in of(body).causes[0].evidence]
    assert (
        says[-1]
        == "it ran for 1 h 00 min, 3.0 times as long as the last run that succeeded (20 min)"
    )


# --- bad input ----------------------------------------------------------------------------------------


def test_odd_evidence_never_raises():
    body = custom(3610) | {
        "logEntries": [
            {"textPayload": "\ud800\x00", "timestamp": "not a time"},
            {"jsonPayload": {"a": [1, {"b": None}]}},
            {
                "jsonPayload": {
                    "remediatorTelemetry": 1,
                    "cpu": "full",
                    "gpus": [3],
                    "memoryBytes": -1,
                }
            },
            {"textPayload": '{"remediatorTelemetry": 1, "cpu": NaN, "gpus": {}'},
            {"textPayload": '{"remediatorTelemetry": 1}' + "[" * 5000},
            {},
        ],
        "timeSeries": [series("cpu/utilization", [float("nan"), -1.0]), {"points": []}, {}],
        "errorFiles": {"gs://x": "\x00" * 100, "gs://y": "{" * 10_000},
        "buckets": {"b": {}},
    }
    body["job"]["error"] = {"code": "four", "message": None, "details": [1, {}]}
    body["job"]["partialFailures"] = [None, 3, {"message": 4}]
    assert of(body).verdict is Cause.UNKNOWN


def test_the_order_of_lines_does_not_matter():
    forward = of(custom(3610) | {"timeSeries": cpu(0.01), "logEntries": WAITS})
    backward = of(custom(3610) | {"timeSeries": cpu(0.01), "logEntries": WAITS[::-1]})
    assert forward.to_json() == backward.to_json()


def test_a_long_log_is_read_in_bounds_and_its_end_is_not_missed():
    found = of(log_of(40_000))
    assert found.verdict is Cause.GPU_MEMORY


def test_a_huge_error_file_is_read_at_head_and_tail():
    rows = "('Could not parse instance: bad row', 1)\n" * 100_000
    assert (
        of(batch(error=None) | {"errorFiles": {"gs://o/errors": rows}}).verdict is Cause.BAD_INPUT
    )


# --- the generated set and the case files -----------------------------------------------------------


def test_generated_time_outs_are_right():
    found = [(m, of(m.body).verdict.value) for m in cases(150, seed=7)]
    wrong = [(m.truth, verdict) for m, verdict in found if verdict not in {m.truth, "unknown"}]
    right = sum(m.truth == verdict for m, verdict in found)
    assert {m.truth for m, _ in found} == set(CAUSES)
    assert right >= 0.95 * len(found), wrong
    # What is bought for money is bought for the right reason.
    assert not [
        w for w in wrong if w[1] in {"cpu_saturation", "accelerator_missing", "memory_pressure"}
    ]


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_case_files_end_as_they_expect(path):
    body = json.loads(path.read_text(encoding="utf-8"))
    found = of(body).to_json()
    expected = {key: value for key, value in body["expect"].items() if key in found}
    assert expected
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        (
            {"createTime": "2026-11-23T10:00:00Z", "endTime": "2026-11-23T10:04:00Z"},
            Cause.TRANSIENT_BACKEND,
        ),
        (
            {
                "createTime": "2026-11-23T10:00:00Z",
                "startTime": "2026-11-23T10:02:00Z",
                "endTime": "2026-11-23T10:04:00Z",
            },
            Cause.TRANSIENT_BACKEND,
        ),
        (
            {
                "createTime": "2026-11-23T10:00:00Z",
                "startTime": "2026-11-23T10:02:00Z",
                "endTime": "2026-11-23T10:24:00Z",
            },
            Cause.UNKNOWN,
        ),
        ({}, Cause.UNKNOWN),
    ],
    ids=["never-began", "died-at-once", "ran", "not-known"],
)
def test_an_internal_error_before_a_job_has_begun_its_work_is_the_services_own(
    times: dict[str, str], verdict: Cause
) -> None:
    job = {
        "name": "projects/1/locations/us-central1/customJobs/1",
        "state": "JOB_STATE_FAILED",
        "error": {"code": 13, "message": "Internal error occurred for the current attempt"},
        **times,
    }
    assert diagnose(Case.parse({"job": job})).verdict is verdict


@pytest.mark.parametrize(
    ("verdict", "mean", "expected"),
    [
        ("cpu_saturation", 0.69, Cause.CPU_SATURATION),
        ("memory_pressure", 0.69, Cause.UNKNOWN),
        ("cpu_saturation", 0.2, Cause.UNKNOWN),
    ],
    ids=["starved-before", "treated-for-something-else", "idle-now"],
)
def test_a_machine_busy_to_the_end_after_one_that_was_starved_wants_more_yet(
    verdict: str, mean: float, expected: Cause
) -> None:
    name = "projects/1/locations/us-central1/customJobs/2"
    points = [
        {
            "interval": {"endTime": f"2026-11-23T1{minute // 60}:{minute % 60:02}:00Z"},
            "value": {"doubleValue": mean + (minute % 3) / 100},
        }
        for minute in range(1, 119)
    ]
    body = {
        "job": {
            "name": name,
            "state": "JOB_STATE_FAILED",
            "createTime": "2026-11-23T09:59:00Z",
            "startTime": "2026-11-23T10:00:00Z",
            "endTime": "2026-11-23T12:00:05Z",
            "error": {"code": 4, "message": "Job has exceeded its maximum running time of 7200s."},
            "jobSpec": {
                "workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-16"}}],
                "scheduling": {"timeout": "7200s"},
            },
        },
        "timeSeries": [
            {"metric": {"type": "ml.googleapis.com/training/cpu/utilization"}, "points": points}
        ],
        "attempts": [{"name": name, "state": "JOB_STATE_FAILED", "verdict": verdict, "step": 1}],
    }
    assert diagnose(Case.parse(body)).verdict is expected


def test_the_failed_rows_of_a_gemini_batch_are_read_from_its_output_though_it_succeeded() -> None:
    """Publishers' models have no error files; rows that were answered, and torn ones, say nothing."""
    busy = '{"status": "Resource exhausted, code: 8", "request": {}}'
    done = '{"status": "", "request": {}, "response": {"a": 1}}'
    output = f"{done}\n{busy}\n{busy}\n{busy[:7]}"
    case = Case.parse(
        {
            "job": {
                "name": "projects/p/locations/us-central1/batchPredictionJobs/7",
                "model": "publishers/google/models/gemini-2.5-flash",
                "state": "JOB_STATE_SUCCEEDED",
                "completionStats": {"successfulCount": "1", "failedCount": "2"},
            },
            "errorFiles": {"gs://out/run/predictions.jsonl-00000-of-00002": output},
        }
    )
    assert diagnose(case).row_errors == (("Resource exhausted, code: 8", 2),)
