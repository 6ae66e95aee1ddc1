"""What progress lines say of the time that all of the work needs; and when they say nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from remediator.case import LogLine
from remediator.diagnosis.progress import read_progress
from remediator.domain import Progress
from remediator.job import Job

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
HOUR = 3600.0


def job(hours: float) -> Job:
    end = START + timedelta(hours=hours)
    return Job.parse(
        {
            "name": "projects/1/locations/us-central1/customJobs/7",
            "state": "JOB_STATE_FAILED",
            "startTime": START.isoformat(),
            "endTime": end.isoformat(),
        }
    )


def line(minute: float, text: str, task: str = "workerpool0-0") -> LogLine:
    entry = {
        "timestamp": (START + timedelta(minutes=minute)).isoformat(),
        "textPayload": text,
        "resource": {"type": "ml_job", "labels": {"task_name": task}},
    }
    return LogLine.parse(entry)


def read(hours: float, *lines: LogLine) -> Progress | None:
    return read_progress(lines, job(hours))


# Half of the work in the two hours that there were: four in all.
STEADY = {
    "steps": [f"step {n * 100}/2400 loss 0.{n}" for n in range(1, 13)],
    "of": [f"processed {n * 1000:,} of 24,000 rows" for n in range(1, 13)],
    "tqdm": [f" {n * 100 // 24}%|##  | {n}/24 [{n * 10}:00<10:00, 600s/it]" for n in range(1, 13)],
    "percent": [f"Progress: {n * 100 / 24:.2f}%" for n in range(1, 13)],
    "epochs": [f"Epoch {(n - 1) // 3 + 1}/8 - batch {(n - 1) % 3 + 1}/3" for n in range(1, 13)],
    "epochs alone": [
        f"epoch {n}/24 val_acc 0.{90 + n % 9} ({90 + n % 9}% of labels)" for n in range(1, 13)
    ],
}


@pytest.mark.parametrize("said", STEADY.values(), ids=STEADY)
def test_steady_progress_says_how_long_all_of_it_takes(said: list[str]) -> None:
    found = read(2, *(line(10 * n, text) for n, text in enumerate(said, 1)))
    assert found is not None
    assert found.done == pytest.approx(0.5, abs=0.01)
    assert found.seconds_needed == pytest.approx(4 * HOUR, rel=0.03)
    assert found.evidence.says == said[-1].strip()


def losses(*, of: str) -> list[LogLine]:
    """What transformers says: its epochs once, then with each loss where in them it is."""
    said = [line(1, f"  Num Epochs = {of}")] if of else []
    return [
        *said,
        *(line(10 * n, f"{{'loss': 1.{n}, 'epoch': {n / 8:.2f}}}") for n in range(1, 13)),
    ]


def test_a_trainer_that_tells_its_epochs_once_says_how_long_all_of_them_take() -> None:
    found = read(2, *losses(of="3"))
    assert found is not None
    assert found.done == pytest.approx(0.5)
    assert found.seconds_needed == pytest.approx(4 * HOUR, rel=0.03)
    assert read(2, *losses(of="")) is None  # of how many is not known


def test_the_slowest_worker_decides() -> None:
    fast = [line(10 * n, f"step {n}/14", "workerpool1-0") for n in range(1, 13)]
    slow = [line(10 * n, f"step {n}/24", "workerpool1-1") for n in range(1, 13)]
    found = read(2, *fast, *slow)
    assert found is not None
    assert found.seconds_needed == pytest.approx(4 * HOUR, rel=0.03)


@pytest.mark.parametrize(("end", "told"), [(119, True), (121, True), (150, False)])
def test_a_line_that_was_not_yet_due_is_no_standstill(end: float, told: bool) -> None:
    """Every half hour one: the last stood a quarter of all of them before the time-out."""
    found = read(end / 60, *(line(5 + 30 * n, f"epoch {n + 1}/10 done") for n in range(4)))
    assert (found is not None) is told


NOTHING = {
    "it hung an hour before its end": [line(3 * n, f"step {n}/40") for n in range(1, 20)],
    "it slows down": [line(1.8**n, f"step {n}/20") for n in range(1, 9)],
    "it was through": [line(9 * n, f"shard file {n}/12") for n in range(1, 13)],
    "two points": [line(30, "step 1/10"), line(90, "step 2/10")],
    "loading, not the work": [line(0.1 * n, f"Loading shards {n}/12") for n in range(1, 10)],
    "a load, not a progress": [line(10 * n, f"GPU at {n * 4}% CPU at {n}%") for n in range(1, 13)],
    "dates and ratios": [line(10 * n, f"2026/11/{n:02d} score 4/{n + 4}") for n in range(1, 13)],
    "attempts": [line(10 * n, f"attempt {n}/50 failed") for n in range(1, 13)],
    "it begins anew": [line(5 * n, f"step {n % 4}/10") for n in range(1, 24)],
}


@pytest.mark.parametrize("lines", NOTHING.values(), ids=NOTHING)
def test_what_is_no_steady_progress_says_nothing(lines: list[LogLine]) -> None:
    assert read(2, *lines) is None
