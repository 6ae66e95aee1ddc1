"""The report as data: JSON for programs, CSV for spreadsheets. Pure.

Owns the names of the keys and columns. Hours and US dollars everywhere, rounded; empty or null where
a figure is not known. Every text from outside is redacted and cut. Called through the report's front.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from remediator.alerts.wording import described, shown
from remediator.domain import Json, rfc3339
from remediator.ledger import WatchedJob
from remediator.redaction import redact_json
from remediator.report.history import Story, Sums, has_failed, ran_seconds, sums
from remediator.report.standstill import with_spells

_TEXT = 2000  # characters of one value, chosen
COLUMNS = (
    *("failed_at", "job", "name", "kind", "outcome", "cause", "confidence", "policy"),
    *("team", "owner", "account", "model", "image", "machine", "refused_by", "reason"),
    *("approval", "resubmissions", "lost_hours", "lost_gpu_hours", "lost_usd", "spent_usd"),
    "recovered_after_hours",
)


def as_json(
    all_stories: Sequence[Story],
    *,
    title: str,
    made: datetime,
    days: float | None,
    watched: Sequence[WatchedJob] = (),
) -> Json:
    """What waits for a yes, the figures, and every incident, as the page has them."""
    body = {
        "title": title,
        "made": rfc3339(made),
        "days": days,
        "waiting": [one.question.to_json() for one in all_stories if one.question is not None],
        "figures": _figures(sums(all_stories)),
        "stood_still": {
            "usd": round(sum(one.stood_still_usd for one in watched), 2),
            "jobs": [
                {
                    "job": one.job,
                    "display_name": one.display_name,
                    "usd": round(one.stood_still_usd, 2),
                    "spells": one.spells + bool(one.alerted),
                    "still": one.alerted or None,
                    "since": rfc3339(one.since) if one.alerted and one.since else None,
                }
                for one in with_spells(watched)
            ],
        },
        "incidents": [
            {**_row(one), "evidence": list(one.evidence), "attempts": _attempts(one)}
            for one in all_stories
        ],
    }
    whole: Json = redact_json(body)
    return whole


def as_csv(all_stories: Sequence[Story]) -> str:
    """One line for each incident, with a head; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    rows = [_row(one) for one in all_stories]
    writer = csv.DictWriter(text, fieldnames=COLUMNS)
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    # A cell that begins so is computed when the file is opened: owasp.org, "CSV Injection".
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _row(one: Story) -> dict[str, Any]:
    texts = {
        "job": one.job,
        "name": one.name,
        "kind": one.kind,
        "outcome": one.outcome.value,
        "cause": one.verdict,
        "policy": one.policy,
        "team": one.team,
        "owner": one.owner,
        "account": one.account,
        "model": one.model_words,
        "image": one.image,
        "machine": one.machine,
        "refused_by": ", ".join(one.refused_by),
        "reason": one.reason,
        "approval": one.question.id if one.question else "",
    }
    return {
        "failed_at": rfc3339(one.failed_at),
        **{key: shown(value, _TEXT) for key, value in texts.items()},
        "confidence": one.confidence,
        "resubmissions": len(one.attempts),
        "lost_hours": _hours(one.failed_seconds),
        "lost_gpu_hours": _hours(one.failed_gpu_seconds),
        "lost_usd": round(one.wasted_usd, 2),
        "spent_usd": round(one.spent_usd, 2),
        "recovered_after_hours": _hours(one.recovery_seconds),
    }


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 3)


def _attempts(one: Story) -> list[Json]:
    return [
        {
            "job": made.name,
            "change": described(made.changes) or "unchanged",
            "policy": made.policy,
            "state": made.state.value,
            "failed": has_failed(made),
            "hours": _hours(ran_seconds(made)),
            "estimated_usd": made.estimated_usd,
        }
        for made in one.attempts
    ]


def _figures(total: Sums) -> Json:
    """The figures with the page's own names; seconds become hours."""
    found: dict[str, Any] = {
        "recovery_rate": total.recovery_rate,
        "wrong_share": total.wrong_share,
    }
    for name in total.__struct_fields__:
        value = getattr(total, name)
        if name.endswith("_seconds"):
            found[name.removesuffix("_seconds") + "_hours"] = _hours(value)
        else:
            found[name] = round(value, 2) if isinstance(value, float) else value
    return found
