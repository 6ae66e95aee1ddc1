"""The diagnosis of a log that came without a job, in words that name the log.

Owns that no evidence names the stand-in that is diagnosed in the job's place. Pure; called for plain logs by
the command line.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from remediator.domain import Diagnosis, Evidence, Source
from remediator.domain.late_pattern import late_pattern


def diagnosis_of_a_log(answer: Diagnosis) -> Diagnosis:
    """The diagnosis of a log without a job: what its stand-in's error says, the log's end said."""
    return replace(
        answer,
        causes=tuple(
            replace(
                cause,
                evidence=_of_the_log(cause.evidence),
                against=tuple(item for item in cause.against if not _is_of_stand_in(item)),
            )
            for cause in answer.causes
        ),
    )


def _of_the_log(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    lines = tuple(item for item in evidence if not _is_of_stand_in(item))
    status = next((m[1] for item in evidence if (m := _STATUS.search(item.says))), "")
    if lines or not status:
        return lines or tuple(evidence)
    return (Evidence(Source.LOG, "logEntries", f"the log ends with exit status {status}"),)


def _is_of_stand_in(item: Evidence) -> bool:
    return item.source is Source.JOB


_STATUS = late_pattern(r"non-zero status of (\d+)")
