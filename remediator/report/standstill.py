"""What running jobs cost while they stood still, as the report's page shows it. Pure.

Owns which watched jobs are worth a line, and their figure. Called by `page` and `export`.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.alerts.running import STOOD
from remediator.alerts.wording import amount, plural, shown
from remediator.domain.time_words import moment_words
from remediator.ledger import WatchedJob

_MOST_LINES = 20


def with_spells(watched: Sequence[WatchedJob]) -> tuple[WatchedJob, ...]:
    """The jobs that were in trouble while they ran, the dearest first."""
    found = [one for one in watched if one.spells or one.alerted]
    return tuple(sorted(found, key=lambda one: (-one.stood_still_usd, one.key)))


def figure(watched: Sequence[WatchedJob]) -> tuple[str, str]:
    """US dollars that stood still, and what they rest on; the second is empty where nothing was found."""
    found = with_spells(watched)
    if not found:
        return "none yet", "no running job was found in trouble"
    now = sum(bool(one.alerted) for one in found)
    usd = sum(one.stood_still_usd for one in found)
    return amount(usd), f"{plural(len(found), 'running job')} in trouble, {now:,} at present"


def lines(watched: Sequence[WatchedJob]) -> tuple[tuple[str, str, str], ...]:
    """(job, what it did and since when, what that cost) of the dearest, each cut and redacted."""
    shown_lines = []
    for one in with_spells(watched)[:_MOST_LINES]:
        since = f" since {moment_words(one.since)}" if one.alerted and one.since else ""
        what = STOOD.get(one.alerted, "") + since if one.alerted else "it went on, or has ended"
        name = shown(one.display_name or one.job.rpartition("/")[2], 80)
        shown_lines.append((name, what, amount(one.stood_still_usd)))
    return tuple(shown_lines)
