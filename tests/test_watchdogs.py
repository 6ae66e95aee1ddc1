"""A watchdog's lines are no section of work: what ran before goes on."""

from __future__ import annotations

import pytest

from remediator.diagnosis.timeline.line_words import WATCHDOG
from remediator.domain import Cause
from tests.case_parts import cpu, custom, lines, of

LINES = [
    "watchdog: no progress for {}s",
    "heartbeat: still waiting",
    "[watchdog] still running after {} s",
    "still waiting for step to finish ({}s)",
    "monitor: no output for {} seconds",
    "keepalive: process alive, no progress for {}s",
    "Still working...",
    "no new checkpoint since {}s",
]


@pytest.mark.parametrize("line", LINES)
def test_the_section_before_goes_on(line: str) -> None:
    every = ((60.0 * i, line.format(60 * i)) for i in range(1, 60))
    written = lines((5, "starting tokenise of corpus"), *every)
    found = of(custom(3610) | {"logEntries": written, "timeSeries": cpu(0.125)})
    assert [one.name for one in found.sections] == ["tokenise of corpus"]
    assert found.verdict is Cause.SLOW_CODE


@pytest.mark.parametrize("line", LINES)
def test_alone_they_are_no_section_at_all(line: str) -> None:
    every = lines(*((60.0 * i, line.format(60 * i)) for i in range(1, 60)))
    found = of(custom(3610) | {"logEntries": every, "timeSeries": cpu(0.125)})
    assert not any(cause.evidence for cause in found.causes for item in cause.evidence if "section" in item.says or "lines like" in item.says)  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "still waiting for the reply of the scoring service",
        "still running tokenise: shard 3",
        "no progress bar: not a terminal",
        "processing 40 files, no output directory given",
    ],
)
def test_what_names_the_work_or_whom_it_waits_for_is_a_section(line: str) -> None:
    assert not WATCHDOG.is_in(line)
