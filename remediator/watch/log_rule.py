"""A policy's log rule held against a running job's log: the line of progress that does not come.

Owns what arms a rule (a job that runs and whose log can be seen) and what disarms it (its stop
pattern). Pure; called by `entries`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import re2
from msgspec import Struct

from remediator.case import Case
from remediator.domain import Evidence, JobState, Source
from remediator.policy.watch_entries import LogRule
from remediator.watch.signals import LONGEST_LINE, last_matching, minutes, worker_lines

START_UP = timedelta(minutes=20)  # chosen: image pull, data set encoding, compilation


class MissingLine(Struct, frozen=True):
    """A line that did not come: since when, and what was seen."""

    since: datetime
    evidence: Evidence


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text has the pattern somewhere, in time linear in the text."""
    options = re2.Options()
    options.log_errors = False
    compiled = re2.compile(pattern, options)
    return lambda text: compiled.search(text) is not None


def missing_line(case: Case, rule: LogRule, silence: timedelta) -> MissingLine | None:
    """What the rule finds missing; None where it asks for nothing (yet, or any more).

    `silence` is what the job's own label allows. A log of which nothing can be seen says nothing.
    """
    job = case.job
    begun = job.start_time or job.create_time
    if job.state is not JobState.RUNNING or begun is None:
        return None
    lines = tuple(worker_lines(case))
    if not lines:
        return None
    if rule.stop_pattern is not None:
        stops = matcher(rule.stop_pattern)
        if any(stops(line.text[:LONGEST_LINE]) for line in lines):
            return None
    last, text = last_matching(case, matcher(rule.pattern))
    allowed = max(rule.longer_than, silence)
    if last is None:
        allowed += START_UP
    since = last or begun
    if case.now - since < allowed:
        return None
    seen = f'; the last: "{" ".join(text.split())[:160]}"' if text else " since the job's start"
    said = f"no line that matches `{rule.pattern[:80]}` for {minutes(case.now - since)}{seen}"
    return MissingLine(since, Evidence(Source.LOG, "log", said))
