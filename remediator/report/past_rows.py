"""What running only the rows that were left would have saved on past batches, in a backtest.

Owns the sum over cases whose rows are known, whatever the policy file says; which of them a file would
have resumed stands beside it. Pure. Called by `backtest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from remediator.alerts.wording import amount
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import Plan
from remediator.planning.resume import saved_usd


class PastRows(Struct, frozen=True):
    """Batches that came back in part and are worth a resume.

    `rows` would not have run again, which saves `usd` US dollars; `unpriced` batches are not in that
    sum. `resumed` has (policy file, how many of them it resumes) for each file.
    """

    batches: int
    rows: int
    usd: float
    unpriced: int
    resumed: tuple[tuple[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "batches": self.batches,
            "rows": self.rows,
            "saved_usd": round(self.usd, 2),
            "unpriced": self.unpriced,
            "resumed": dict(self.resumed),
        }

    def as_text(self) -> str:
        """One line for people."""
        unpriced = f" ({self.unpriced} without a known price)" if self.unpriced else ""
        files = "; ".join(f"{name} resumes {number}" for name, number in self.resumed)
        return (
            f"Rows: {self.batches:,} batch{'es' * (self.batches != 1)} came back in part: {self.rows:,} rows need not have "
            f"run again, which saves about {amount(self.usd)}{unpriced}. {files}."
        )


def past_rows(
    cases: Sequence[Case], plans: Sequence[tuple[str, Sequence[Plan]]], catalog: Catalog
) -> PastRows | None:
    """The sum over the cases that hold rows and are worth a resume; None where none does.

    `plans` are those of each policy file, by its name.
    """
    worth = [
        (case, case.rows.rows - case.rows.left)
        for case in cases
        if case.rows is not None and not case.rows.why_not_resume
    ]
    if not worth:
        return None
    saved = [saved_usd(case, catalog) for case, _ in worth]
    return PastRows(
        len(worth),
        sum(rows for _, rows in worth),
        sum(usd for usd in saved if usd is not None),
        saved.count(None),
        tuple((name, sum(one.resume.is_new for one in made)) for name, made in plans),
    )
