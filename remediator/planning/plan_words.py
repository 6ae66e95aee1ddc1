"""A plan in words: why it is so, what it changes, what it costs, which guards refuse it.

Owns the sentences of `because` and the lines of `plan --explain` about a step. Must not decide. Pure;
called by `planner`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from remediator.domain import NEVER_RETRIED, Cause, Diagnosis, GuardRefusal
from remediator.domain.cause_words import MEANINGS
from remediator.domain.time_words import moment_words
from remediator.job.change_words import plan_words
from remediator.planning.costs import Cost, usd_per_hour
from remediator.planning.draft import JobDraft
from remediator.planning.plan_inputs import PlanInputs


def sentence(diagnosis: Diagnosis, text: str) -> str:
    """`because` as a whole: the verdict, how sure it is, and what follows."""
    verdict = diagnosis.verdict
    if verdict is Cause.UNKNOWN:
        return f"The evidence does not say why the job failed; {text}."
    sure = f"{diagnosis.confidence:.0%} sure"
    return f"{_sentence_head(verdict)} ({sure}): {text}."


def resubmission_words(draft: JobDraft, cost: Cost, not_before: datetime | None) -> str:
    """What is resubmitted, when and for how much; None for money that nobody knows."""
    parts = [change_words(draft)]
    if not_before is not None:
        parts[0] += f", not before {moment_words(not_before)}"
    if cost.usd is None:
        parts.append(f"what it costs in {draft.location} is not known")
    elif cost.usd_per_hour is None:
        parts.append(cost_words(cost))
    else:
        worst = "" if cost.worst_usd is None else f", at most ${cost.worst_usd:.2f}"
        sum_ = f"{'at most' if cost.at_most else 'about'} ${cost.usd:.2f}"
        parts.append(f"{sum_} ({cost_words(cost)}){worst}")
    return "; ".join([*parts, *draft.notes])


def will_not_help(inputs: PlanInputs) -> str:
    """Why the cause is one that running again does not help, and what that would have cost; empty: it may."""
    verdict = inputs.diagnosis.verdict
    text = _BIGGER_IS_NO_HELP.get(verdict, "")
    if verdict in NEVER_RETRIED:
        text = f"{MEANINGS[verdict]}, which running it again repeats"
    rate = usd_per_hour(inputs.case.job, inputs.case.job.name.location, inputs.catalog)
    ran = inputs.case.job.run_seconds
    usd = (rate or 0.0) * (ran or 0.0) / 3600
    if text and usd >= _A_CENT:
        text += f"; a retry would have cost about ${usd:.2f} for nothing"
    return text


_BIGGER_IS_NO_HELP = {
    Cause.SLOW_CODE: "one section of the code takes the time, which a bigger machine does not fix",
    Cause.NETWORK_LATENCY: (
        "the time goes to fetching data, which a bigger machine does not shorten"
    ),
}
_A_CENT = 0.01


def cost_words(cost: Cost) -> str:
    """What an estimate rests on: hours, their source, and the rate."""
    rate = cost.usd_per_hour
    queries = (
        f"; queries of BigQuery for its rows, by a dry run: about ${cost.query_usd:.2g}"
        if cost.query_usd
        else ""
    )
    if rate is None:
        return cost.basis + queries
    bound = (
        ", bounded by the on-demand price: not all of its rates are known" if cost.at_most else ""
    )
    return f"{cost.basis}, at ${rate:.4g} an hour{bound}{queries}"


def without_refusals(texts: Iterable[str], refused: Iterable[GuardRefusal]) -> list[str]:
    """Why steps were passed over, where a guard's reason that is told already stands by its name."""
    found = list(texts)
    for refusal in refused:
        by_name = f"`{refusal.guard.value}` refuses it too"
        found = [text.replace(refusal.why, by_name) for text in found]
    return found


def refusal_words(refused: tuple[GuardRefusal, ...]) -> str:
    """That nothing is resubmitted, with every guard that refuses."""
    listed = "; ".join(f"{refusal.guard.value}: {refusal.why}" for refusal in refused)
    return f"nothing is resubmitted ({listed})"


def refusal_lines(refused: tuple[GuardRefusal, ...]) -> tuple[str, ...]:
    """For `--explain`: a line for each guard that refuses."""
    return tuple(f"{refusal.guard.value} refuses: {refusal.why}" for refusal in refused)


def change_words(draft: JobDraft) -> str:
    """Each change in words, once for all the worker pools it is made in."""
    if not draft.changes:
        return "the same job again, unchanged"
    return plan_words(draft.changes, draft.job, only_rows_left=draft.resume.is_new)


def _sentence_head(verdict: Cause) -> str:
    """The cause as a sentence begins with it: `GPU memory`, `Slow code`."""
    first, *others = verdict.value.split("_")
    return " ".join([first.upper() if first in {"cpu", "gpu"} else first.capitalize(), *others])
