"""`rows: remaining`: the batch over again with only the rows that are left.

Owns when such a step can be taken, where the new input and output lie, and which parts make up the
results. Writes nothing: the plan names an input that bears the claim's mark, and whoever carries the
plan out writes it. Pure; called by `steps`.
"""

from __future__ import annotations

from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import ALL_ROWS, CLAIM_MARK, Guard, Lack, Part, Resume, label_value
from remediator.job.batch import (
    INPUT_TABLE,
    INPUT_URIS,
    OUTPUT_PREFIX,
    OUTPUT_TABLE,
    PREDICTIONS,
    BatchData,
    data_of,
)
from remediator.job.rows import RowAccount
from remediator.job.summary import results_of
from remediator.planning import regions
from remediator.planning.costs import typical_seconds, usd_per_hour
from remediator.planning.draft import JobDraft, StepContext, StepHasNoEffect
from remediator.planning.savings import share_left, token_savings

_CUT_INTO_ROWS = frozenset({"jsonl", "csv"})


def resume_rows(draft: JobDraft, now: StepContext) -> JobDraft:
    """The job with the rows that are left as its input; raises Exhausted with why not."""
    rows = now.case.rows
    data = data_of(now.job)
    if rows is None:
        unset = (
            None if _target(now, data) or now.case.rows_unread else _LACK[bool(data.input_table)]
        )
        why = now.case.rows_unread or _no_account(now, data)
        raise StepHasNoEffect(why, Guard.ROWS, unset)
    if why := rows.why_not_resume:
        raise StepHasNoEffect(why, Guard.ROWS)
    table = bool(data.input_table)
    if not table and data.instances_format not in _CUT_INTO_ROWS:
        msg = f"input of the format {data.instances_format or '(none named)'} is not cut into rows"
        raise StepHasNoEffect(msg, Guard.ROWS)
    target = _target(now, data)
    if not target:
        why = _not_set_up(rows, _SETTING[table], now)
        raise StepHasNoEffect(why, Guard.ROWS, _LACK[table])
    if not table and (why := _bucket_elsewhere(target, now)):
        raise StepHasNoEffect(why, Guard.ROWS)
    number = now.number - 1
    before = _last_resume(now)
    own = Part(str(now.job.name), number, rows.done, results_of(now.job))
    stem = f"{label_value(now.root)}-{now.number}-{CLAIM_MARK}"
    for path, value in _places(target, stem, data).items():
        draft = draft.set(path, value)
    resume = Resume(rows.left, (*before.parts, own), is_new=True, query_usd=rows.query_usd)
    return replace(draft, resume=resume).note(_note(rows))


def _places(target: str, stem: str, data: BatchData) -> dict[str, object]:
    if data.input_table:
        name = stem.replace("-", "_")  # a table's name has no hyphen
        return {
            INPUT_TABLE: f"{target}.rows_{name}",
            **(
                {OUTPUT_TABLE: f"{target}.{PREDICTIONS}{name}"}
                if data.output_table
                else {OUTPUT_PREFIX: f"{data.output_prefix.rstrip('/')}/{stem}"}
            ),
        }
    base = target.rstrip("/")
    return {
        INPUT_URIS: [f"{base}/inputs/{stem}{data.suffix}"],
        OUTPUT_PREFIX: f"{base}/outputs/{stem}",
    }


def _target(now: StepContext, data: BatchData) -> str:
    """Where the input of a resume is written; empty: nobody has set that up."""
    return now.history.resume_dataset if data.input_table else now.history.resume_bucket


_LACK = {False: Lack.RESUME_BUCKET, True: Lack.RESUME_DATASET}
_SETTING = {False: "REMEDIATOR_RESUME_BUCKET", True: "REMEDIATOR_RESUME_DATASET"}


def _not_set_up(rows: RowAccount, setting: str, now: StepContext) -> str:
    usd = saved_usd(now.case, now.catalog)
    unknown = " (in dollars: not known)" if now.job.is_gemini_batch else ""
    money = f", about ${usd:.2f} less" if usd else unknown
    return (
        f"{rows.left:,} of {rows.rows:,} rows are left and could be run alone, which is not set up "
        f"({setting}): {rows.rows - rows.left:,} rows would not have to run again{money}; "
        "`rows --remaining FILE` writes those that are left"
    )


def saved_usd(case: Case, catalog: Catalog) -> float | None:
    """What running only the rows that are left would cost less than all of them; None: not known."""
    if by_tokens := token_savings(case, catalog):
        return round(by_tokens.saved_usd, 2)
    rate = usd_per_hour(case.job, case.job.name.location, catalog)
    share = share_left(case, (), typical_seconds(case))
    if rate is None or share is None:
        return None
    return round(rate * share[0] * (1 - share[1]) / 3600, 2)


def _no_account(now: StepContext, data: BatchData) -> str:
    """Without an account of the rows: what the job's own counts say would be saved."""
    setting = _SETTING[bool(data.input_table)]
    done, failed, left = now.job.instance_counts
    if not _target(now, data) and done > 0 and min(failed, left) >= 0:
        return (
            f"running only the rows that are left is not set up ({setting}): by Vertex's count "
            f"{done:,} of {done + failed + left:,} rows would not have to run again"
        )
    return "the rows that are left cannot be told apart yet, so they cannot be run alone"


def _bucket_elsewhere(target: str, now: StepContext) -> str:
    bucket = target.removeprefix("gs://").partition("/")[0]
    place = (now.case.buckets.get(bucket) or "").lower()
    if not place or regions.covers(place, now.job.name.location):
        return ""
    return (
        f"REMEDIATOR_RESUME_BUCKET is in {place}, and the job runs in {now.job.name.location}: "
        "its rows are not taken elsewhere"
    )


def _note(rows: RowAccount) -> str:
    never = sum(rows.failed.values()) - rows.retriable
    failed = f", {never:,} of them can never pass and are left out" if never else ""
    return (
        f"{rows.left:,} rows are left, and {rows.rows - rows.left:,} of {rows.rows:,} need not run "
        f"again{failed} (matched by {rows.key})"
    )


def carried(now: StepContext) -> Resume:
    """What the next attempt inherits where it runs all rows of a job that was itself a resume."""
    return replace(_last_resume(now), is_new=False, query_usd=0.0)


def _last_resume(now: StepContext) -> Resume:
    attempts = now.history.attempts or now.case.attempts
    mine = [one for one in attempts if one.name == str(now.job.name)]
    return mine[-1].resume if mine else ALL_ROWS
