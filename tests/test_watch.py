"""Jobs that still run, judged from their case alone: what stands still, waits in vain, or is doomed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.cli.main import main
from remediator.domain import Source
from remediator.watch import Watch, WatchVerdict, watch
from tests.running import GPU, START, Level, at, line, running, series, steps

BOOK = Catalog.built_in()


def watched(body: dict[str, Any]) -> Watch:
    found = watch(Case.parse(body), BOOK)
    assert found is not None
    return found


# --- standing still ------------------------------------------------------------------------------


def test_a_gpu_job_whose_device_cpu_and_log_go_silent_is_stalled() -> None:
    found = watched(
        running(
            140,
            machine=GPU,
            metrics=(
                series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 140),
                series("accelerator/utilization", lambda m: 0.9 if m < 90 else 0.0, 140),
            ),
            lines=steps(90),
        )
    )
    assert found.verdict is WatchVerdict.STALLED
    assert found.since == START + timedelta(minutes=89)
    assert len({item.source for item in found.evidence}) >= 2
    assert found.usd_per_hour
    assert found.usd_per_hour > 2


def test_a_heartbeat_thread_over_a_wedged_loop_is_no_work() -> None:
    beats = tuple(line(m, f"heartbeat {m}: still alive") for m in range(90, 140))
    found = watched(
        running(
            140,
            machine=GPU,
            metrics=(
                series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 140),
                series("accelerator/utilization", lambda m: 0.9 if m < 90 else 0.0, 140),
            ),
            lines=(*steps(90), *beats),
        )
    )
    assert (found.verdict, found.since) == (WatchVerdict.STALLED, START + timedelta(minutes=89))


def test_workers_that_wait_for_each_other_spin() -> None:
    found = watched(
        running(
            200,
            machine=GPU,
            replicas=4,
            metrics=(
                series("cpu/utilization", lambda _: 0.1, 200),
                series("accelerator/utilization", lambda _: 0.99, 200),
                series("network/received_bytes_count", lambda m: 9e9 if m < 120 else 1e3, 200),
            ),
            lines=steps(120),
        )
    )
    assert (found.verdict, found.since) == (WatchVerdict.SPINNING, START + timedelta(minutes=119))


@pytest.mark.parametrize(
    ("what", "cpu", "accelerator", "lines"),
    [
        ("training", lambda _: 0.5, lambda _: 0.9, steps(139)),
        (
            "one compiling core of many",
            lambda m: 0.5 if m < 90 else 0.13,
            lambda m: 0.9 if m < 90 else 0.0,
            steps(90),
        ),
        ("evaluation on the CPU", lambda _: 0.5, lambda m: 0.9 if m < 80 else 0.0, steps(80)),
        ("silent but busy", lambda _: 0.5, lambda _: 0.95, steps(30)),
        (
            "a checkpoint that takes 25 minutes",
            lambda m: 0.4 if m < 112 else 0.001,
            lambda m: 0.9 if m < 112 else 0.0,
            steps(112),
        ),
        (
            "idle, and the log brings news",
            lambda _: 0.001,
            lambda m: 0.9 if m < 60 else 0.0,
            steps(139),
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_works_is_healthy(
    what: str, cpu: Level, accelerator: Level, lines: tuple[dict[str, Any], ...]
) -> None:
    del what
    metrics = (
        series("cpu/utilization", cpu, 140),
        series("accelerator/utilization", accelerator, 140),
    )
    found = watched(running(140, machine=GPU, metrics=metrics, lines=lines))
    assert found.verdict is WatchVerdict.HEALTHY


def test_a_new_object_below_the_output_directory_is_work() -> None:
    metrics = (series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 180),)
    body = running(180, metrics=metrics, lines=steps(90))
    assert watched(body).verdict is WatchVerdict.STALLED
    saved = {"name": "gs://b/ckpt-9", "updated": at(170), "size": "9"}
    assert watched(body | {"outputs": [saved]}).verdict is WatchVerdict.HEALTHY


def test_one_signal_alone_and_missing_metrics_are_no_standstill() -> None:
    metrics = (series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 180),)
    assert watched(running(180, metrics=metrics)).verdict is not WatchVerdict.STALLED
    assert watched(running(180, lines=steps(90))).verdict is WatchVerdict.UNKNOWN
    gone = (series("cpu/utilization", lambda _: 0.4, 90),)
    assert watched(running(180, metrics=gone, lines=steps(85))).verdict is WatchVerdict.UNKNOWN


def test_the_jobs_own_label_widens_the_silence_and_off_ends_the_watch() -> None:
    metrics = (series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 180),)
    quiet = running(
        180, metrics=metrics, lines=steps(90), job={"labels": {"remediator-silence": "4h"}}
    )
    assert watched(quiet).verdict is WatchVerdict.HEALTHY
    off = running(180, metrics=metrics, lines=steps(90), job={"labels": {"remediator": "off"}})
    assert watch(Case.parse(off), BOOK) is None
    ended = {**off, "job": {**off["job"], "state": "JOB_STATE_FAILED", "labels": {}}}
    assert watch(Case.parse(ended), BOOK) is None


# --- never used, waiting, doomed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "level", "verdict"),
    [
        (170, lambda _: 0.01, WatchVerdict.ACCELERATOR_UNUSED),
        (120, lambda _: 0.01, WatchVerdict.HEALTHY),
        (170, lambda m: 0.3 if m == 100 else 0.0, WatchVerdict.HEALTHY),
    ],
)
def test_a_device_that_was_never_used(minutes: int, level: Level, verdict: WatchVerdict) -> None:
    metrics = (
        series("cpu/utilization", lambda _: 0.9, minutes),
        series("accelerator/utilization", level, minutes),
    )
    found = watched(running(minutes, machine=GPU, metrics=metrics, lines=steps(minutes - 1)))
    assert found.verdict is verdict


@pytest.mark.parametrize(
    ("state", "minutes", "verdict"),
    [
        ("JOB_STATE_QUEUED", 61, WatchVerdict.WAITING_FOR_QUOTA),
        ("JOB_STATE_PENDING", 61, WatchVerdict.WAITING_FOR_CAPACITY),
        ("JOB_STATE_PENDING", 50, WatchVerdict.HEALTHY),
    ],
)
def test_waiting_costs_nothing_and_is_told_after_an_hour(
    state: str, minutes: int, verdict: WatchVerdict
) -> None:
    found = watched(running(minutes, job={"state": state, "startTime": None}))
    assert (found.verdict, found.usd_per_hour) == (verdict, 0.0)
    assert found.since == (
        None if verdict is WatchVerdict.HEALTHY else START - timedelta(minutes=2)
    )


def test_a_gemini_batch_may_wait_a_day_and_flex_start_as_long_as_it_says() -> None:
    gemini = running(10)
    gemini["job"] = {
        "name": "projects/1/locations/us-central1/batchPredictionJobs/7",
        "state": "JOB_STATE_PENDING",
        "model": "publishers/google/models/gemini-2.5-flash",
        "createTime": at(0),
    }
    assert watched(gemini | {"now": at(23 * 60)}).verdict is WatchVerdict.HEALTHY
    assert watched(gemini | {"now": at(25 * 60)}).verdict is WatchVerdict.WAITING_FOR_CAPACITY
    flex = running(150, job={"state": "JOB_STATE_PENDING"})
    flex["job"]["jobSpec"]["scheduling"] |= {"strategy": "FLEX_START", "maxWaitDuration": "14400s"}
    assert watched(flex).verdict is WatchVerdict.HEALTHY
    assert watched(flex | {"now": at(250)}).verdict is WatchVerdict.WAITING_FOR_CAPACITY


@pytest.mark.parametrize(
    ("now", "per_minute", "late"),
    [
        (120, 5, True),
        (120, 20, False),
        # 4% late, told at half; 1.7% late, within the doubt of what is left until little is left.
        (120, 12.0, True),
        (120, 12.3, False),
        (220, 12.3, True),
        (220, 12.7, False),
        # As fast as that which is told at half, after a fifth of it.
        (50, 12.0, False),
    ],
)
def test_progress_that_ends_after_the_time_out_is_told_where_what_is_left_cannot_mend_it(
    now: int, per_minute: float, late: bool
) -> None:
    lines = tuple(line(m, f"row {m * per_minute:.0f} of 3000") for m in range(1, now - 1))
    body = running(now, metrics=(series("cpu/utilization", lambda _: 0.9, now),), lines=lines)
    body["job"]["jobSpec"]["scheduling"]["timeout"] = "14400s"
    assert (watched(body).verdict is WatchVerdict.WILL_TIME_OUT) is late


@pytest.mark.parametrize(("slope", "climbs"), [(0.004, True), (0.0, False)])
def test_memory_that_will_be_full_before_the_end(slope: float, climbs: bool) -> None:
    metrics = (
        series("cpu/utilization", lambda _: 0.9, 120),
        series("memory/utilization", lambda m: 0.4 + slope * m, 120),
    )
    found = watched(running(120, metrics=metrics, lines=steps(119)))
    assert (found.verdict is WatchVerdict.MEMORY_CLIMBING) is climbs


# --- the command line ----------------------------------------------------------------------------


def test_diagnose_and_plan_carry_the_watch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = (series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 180),)
    body = running(180, metrics=metrics, lines=steps(90))
    (tmp_path / "case.json").write_text(json.dumps(body))
    assert main(["diagnose", "case.json", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "unknown"
    assert answer["watch"]["verdict"] == "stalled"
    assert answer["watch"]["since"] == at(89).replace("+00:00", "Z")
    assert main(["plan", "case.json", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    shipped = ("in-trouble-while-running", "alert", ["ml-oncall"], None)
    assert (plan["policy"], plan["action"], plan["alerts"], plan["request"]) == shipped
    assert plan["watch"] == answer["watch"]
    assert main(["diagnose", "case.json"]) == 0
    assert "watch: stalled since 2026-11-28 09:29 UTC" in capsys.readouterr().out
    assert {item["source"] for item in answer["watch"]["evidence"]} >= {
        Source.METRIC.value,
        Source.LOG.value,
    }


# --- what the job's own telemetry says -------------------------------------------------------------


def telemetry(minute: float, **fields: Any) -> dict[str, Any]:
    body = {"remediatorTelemetry": 1, "time": at(minute), **fields}
    return {**line(minute, ""), "jsonPayload": body, "textPayload": None}


def test_stacks_at_a_standstill_are_evidence_and_bring_no_news() -> None:
    stacks = ["MainThread: threading.py:331 wait < loader.py:88 next_batch", "feeder: q.py:12 put"]
    own = tuple(telemetry(m, cpu=0.0, stack="loader.py:88 next_batch") for m in range(90, 180))
    body = running(
        180,
        metrics=(series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 180),),
        lines=(*steps(90), *own, telemetry(101, stacks=stacks)),
    )
    found = watched(body)
    assert (found.verdict, found.since) == (WatchVerdict.STALLED, START + timedelta(minutes=89))
    (told,) = [item for item in found.evidence if item.source is Source.TELEMETRY]
    assert "MainThread: threading.py:331 wait < loader.py:88 next_batch; feeder" in told.says


def test_where_no_metric_is_telemetry_tells_the_levels() -> None:
    own = tuple(telemetry(m, cpu=0.6 if m < 90 else 0.0) for m in range(1, 180))
    body = running(180, lines=(*steps(90), *own))
    assert watched(body).verdict is WatchVerdict.STALLED
    works = running(180, lines=(*steps(90), *(telemetry(m, cpu=0.6) for m in range(1, 180))))
    assert watched(works).verdict is WatchVerdict.HEALTHY


@pytest.mark.parametrize(("per_minute", "late"), [(5, True), (20, False)])
def test_progress_that_telemetry_tells_is_extrapolated(per_minute: int, late: bool) -> None:
    own = tuple(
        telemetry(m, cpu=0.9, progress={"done": float(m * per_minute), "of": 3000.0})
        for m in range(1, 119)
    )
    body = running(120, lines=own)
    body["job"]["jobSpec"]["scheduling"]["timeout"] = "14400s"
    assert (watched(body).verdict is WatchVerdict.WILL_TIME_OUT) is late


# --- what is written beside the work -----------------------------------------------------------------


def test_a_monitor_whose_numbers_change_beside_a_wedged_loop_is_no_work() -> None:
    beside = tuple(
        line(m + 0.5, f"[monitor] rss={10 + m % 7}.{m % 9}GB temp={40 + m % 30}C")
        for m in range(180)
    )
    metrics = (
        series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.001, 180),
        series("accelerator/utilization", lambda m: 0.9 if m < 90 else 0.0, 180),
    )
    found = watched(running(180, machine=GPU, metrics=metrics, lines=(*steps(90), *beside)))
    assert (found.verdict, found.since) == (
        WatchVerdict.STALLED,
        START + timedelta(minutes=89),
    )
    assert any('lines like "step # loss #" stopped' in item.says for item in found.evidence)
    works = running(180, machine=GPU, metrics=metrics, lines=(*steps(179), *beside))
    assert watched(works).verdict is WatchVerdict.HEALTHY


@pytest.mark.parametrize(
    ("traffic", "verdict"), [(5e7, WatchVerdict.HEALTHY), (3e5, WatchVerdict.STALLED)]
)
def test_a_checkpoint_that_the_network_carries_away_is_work(
    traffic: float, verdict: WatchVerdict
) -> None:
    metrics = (
        series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.01, 150),
        series("accelerator/utilization", lambda m: 0.9 if m < 90 else 0.0, 150),
        series("network/sent_bytes_count", lambda m: 1e7 if m < 90 else traffic, 150),
    )
    assert watched(running(150, machine=GPU, metrics=metrics, lines=steps(90))).verdict is verdict


def test_a_blip_of_the_cpus_is_no_work() -> None:
    metrics = (
        series("cpu/utilization", lambda m: 0.4 if m < 90 else 0.08 if m == 120 else 0.001, 180),
    )
    assert watched(running(180, metrics=metrics, lines=steps(90))).verdict is WatchVerdict.STALLED


def test_memory_that_levels_off_does_not_climb() -> None:
    metrics = (
        series("cpu/utilization", lambda _: 0.9, 150),
        series("memory/utilization", lambda m: 0.5 + 0.4 * (1 - 2 ** (-m / 60)), 150),
    )
    assert watched(running(150, metrics=metrics, lines=steps(149))).verdict is WatchVerdict.HEALTHY
