"""What a batch prediction did with its rows, as an alert tells it. Pure.

Owns the lines on rows done, failed and never attempted, the messages of the failed ones, and where
the output lies. Called by `compose`.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.alerts.facts import AlertFacts
from remediator.alerts.wording import LINE_LIMIT, plural, shown
from remediator.domain.late_pattern import late_pattern
from remediator.job.summary import RowCounts

ROWS = "Rows of the batch"
MOST_MESSAGES = 5


def rows_lines(facts: AlertFacts) -> list[str]:
    """Nothing where the job is no batch, or nobody counted its rows and no message of one is known."""
    rows, errors = facts.rows, facts.diagnosis.row_errors if facts.diagnosis else ()
    if rows is None and not errors:
        return []
    lines = [] if rows is None else [_counts(rows)]
    lines += _messages(errors, rows.failed if rows else 0)
    return lines + (_output(rows) if rows else [])


def rows_advice(facts: AlertFacts) -> str:
    """What to do about failed rows of which no cause is known."""
    if facts.diagnosis is not None and facts.diagnosis.row_errors:
        return "Read the messages of the failed rows below; the output says which rows they are."
    return "Read the error files beside the results: they say which instances failed, and why."


def _counts(rows: RowCounts) -> str:
    """`1,000 rows: 900 done, 60 failed, 40 never attempted`."""
    if rows.done < 0 and rows.left < 0 and not rows.failed:
        return "Vertex counted no rows."
    known = [count for count in (rows.done, rows.failed, rows.left) if count > 0]
    total = f"{plural(sum(known), 'row')}: " if min(rows.done, rows.left) >= 0 else ""
    done = f"{rows.done:,} done" if rows.done >= 0 else "how many are done is not known"
    left = (
        f"{rows.left:,} never attempted"
        if rows.left >= 0
        else "how many were never attempted is not known"
    )
    return f"{total}{done}, {max(rows.failed, 0):,} failed, {left}."


def _messages(errors: Sequence[tuple[str, int]], failed: int) -> list[str]:
    """The failed rows by message; messages that differ in numbers alone are one."""
    if not errors:
        return []
    groups: dict[str, tuple[str, int]] = {}
    for message, count in errors:
        kind = _NUMBERS.sub("#", message)
        first, before = groups.get(kind, (message, 0))
        groups[kind] = (first, before + count)
    ranked = sorted(groups.values(), key=lambda one: -one[1])
    read = sum(count for _, count in ranked)
    if len(ranked) == 1 and read > 1:
        whole = f"All {read:,} failed rows" if read >= failed else _sampled(read, failed)
        return [f'{whole} give the same answer: "{_quoted(ranked[0][0])}"']
    lines = [f'{count:,} failed: "{_quoted(message)}"' for message, count in ranked[:MOST_MESSAGES]]
    more = sum(count for _, count in ranked[MOST_MESSAGES:])
    lines += [f"{more:,} failed with other messages."] if more else []
    sample = f"Only {read:,} of the {failed:,} failed rows were read."
    return [*lines, sample] if read < failed else lines


def _sampled(read: int, failed: int) -> str:
    return f"All failed rows that were read ({read:,} of {failed:,})"


_NUMBERS = late_pattern(r"\d+")
"""Of a row or a request: two messages that differ in these alone are one."""


def _quoted(message: str) -> str:
    return shown(message, LINE_LIMIT)


def _output(rows: RowCounts) -> list[str]:
    place = shown(rows.output, LINE_LIMIT)
    if not place:
        return ["Where the output lies, the job does not say."]
    if rows.is_asked_for:
        return [
            f"Output: below {place}, which the job asked for; Vertex names no folder of its own."
        ]
    return [f"Output: {place}"]
