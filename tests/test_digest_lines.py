"""What a digest says of a day's failures."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from remediator.report.digest import digest_lines, digest_title
from remediator.report.history import Story, StoryOutcome

AT = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


def story(number: int, outcome: StoryOutcome, verdict: str, **more: object) -> Story:
    return Story(
        root=f"r{number}",
        job=f"projects/p/locations/us-central1/customJobs/{number}",
        name=f"job-{number}",
        outcome=outcome,
        failed_at=AT,
        verdict=verdict,
        **more,  # type: ignore[arg-type]  # a test's own words
    )


DAY = (
    story(1, StoryOutcome.WAITING, "quota"),
    story(2, StoryOutcome.ALERTED, "user_code_error", first_run_usd=12.0, failed_seconds=3600.0),
    story(3, StoryOutcome.OPEN, "cpu_saturation", spent_usd=3.0, estimated_usd=4.0),
    *(story(n, StoryOutcome.GIVEN_UP, "unknown") for n in range(10, 25)),
)


def test_the_lines_of_a_day() -> None:
    assert digest_lines(DAY) == (
        "Failed: 18 jobs (15 cause unknown, 1 quota used up, 1 error in the code, 1 CPUs full).",
        "Waits for a yes: 1 (job-1).",
        "Left to a person: 1 (job-2).",
        (
            "Given up: 15 (job-10, job-11, job-12, job-13, job-14, job-15, job-16, job-17, job-18, "
            "job-19 and 5 more)."
        ),
        "In progress: 1 (job-3).",
        "Cost: resubmissions of these jobs so far $3.00, estimated $4.00.",
        "Saved: $12.00, against one blind rerun of each job that no rerun fixes.",
    )
    assert digest_title("daily", "2026-11-24", DAY) == (
        "Daily digest to 2026-11-24: 18 failed, 0 recovered, 1 waits for a yes"
    )


def test_a_saving_whose_price_is_not_known_is_told_in_time() -> None:
    told = digest_lines([story(1, StoryOutcome.ALERTED, "bad_input", failed_seconds=7200.0)])
    assert told[-1] == (
        "Saved: 2 h 00 min of machine time, against one blind rerun of each job that no rerun fixes."
    )


def test_names_from_outside_are_cut_and_redacted() -> None:
    told = replace(
        story(1, StoryOutcome.GIVEN_UP, "unknown"), name="password=hunter2hunter2 " + "x" * 900
    )
    line = digest_lines([told])[1]
    assert "hunter2" not in line
    assert len(line) < 100
