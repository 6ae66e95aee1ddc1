"""A digest: what happened in a day or a week, in a few lines. Pure.

Owns which figures are told and how. What belongs to the period is said by `digests`, which calls it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from remediator.alerts.wording import amount, cause_words, listed, plural, shown
from remediator.domain.time_words import span_words
from remediator.report.history import Story, StoryOutcome, sums

_NAME_LIMIT = 60
_MOST_NAMES = 10
_MOST_CAUSES = 5


def digest_title(word: str, period: str, all_stories: Sequence[Story]) -> str:
    """`Daily digest to 2026-11-29: 12 failed, 8 recovered, 2 wait for a yes`."""
    counts = Counter(story.outcome for story in all_stories)
    parts = [f"{len(all_stories):,} failed", f"{counts[StoryOutcome.RECOVERED]:,} recovered"]
    waiting = counts[StoryOutcome.WAITING]
    if waiting:
        parts.append(f"{waiting:,} {'waits' if waiting == 1 else 'wait'} for a yes")
    return f"{word.capitalize()} digest to {period}: {', '.join(parts)}"


def digest_lines(all_stories: Sequence[Story]) -> tuple[str, ...]:
    """The digest's lines: failed, recovered, waiting, needing a person, cost, saved."""
    figures = sums(all_stories)
    lines = [f"Failed: {plural(len(all_stories), 'job')}{_causes(all_stories)}."]
    if figures.acted:
        median = figures.median_recovery_seconds
        after = f", half of them within {span_words(median)}" if median is not None else ""
        lines.append(
            f"Recovered: {figures.recovered:,} of {figures.acted:,} that were resubmitted and have "
            f"ended{after if figures.recovered else ''}."
        )
    for outcome, label in _NAMED:
        found = [story for story in all_stories if story.outcome is outcome]
        if found:
            lines.append(f"{label}: {len(found):,} ({_names(found)}).")
    spent, estimated = figures.spent_usd, figures.estimated_usd
    against = f", estimated {amount(estimated)}" if estimated else ""
    lines.append(f"Cost: resubmissions of these jobs so far {amount(spent)}{against}.")
    if figures.saved_usd is not None:
        lines.append(f"Saved: {amount(figures.saved_usd)}, {_AGAINST}.")
    elif figures.saved_seconds:
        lines.append(f"Saved: {span_words(figures.saved_seconds)} of machine time, {_AGAINST}.")
    return tuple(listed(lines))


_NAMED = (
    (StoryOutcome.WAITING, "Waits for a yes"),
    (StoryOutcome.ALERTED, "Left to a person"),
    (StoryOutcome.GIVEN_UP, "Given up"),
    (StoryOutcome.OPEN, "In progress"),
    (StoryOutcome.OBSERVED, "Observed only"),
)
_AGAINST = "against one blind rerun of each job that no rerun fixes"


def _causes(all_stories: Sequence[Story]) -> str:
    counts = Counter(cause_words(story.verdict) for story in all_stories)
    if not counts:
        return ""
    most = [f"{count:,} {words}" for words, count in counts.most_common(_MOST_CAUSES)]
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(_MOST_CAUSES))
    return f" ({', '.join(most)}{f', {rest:,} other' if rest else ''})"


def _names(all_stories: Sequence[Story]) -> str:
    names = [shown(story.name, _NAME_LIMIT) for story in all_stories[:_MOST_NAMES]]
    more = len(all_stories) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
