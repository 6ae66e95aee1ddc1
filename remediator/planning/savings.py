"""What running only the rows that are left of a batch saves: the share of its time, or of its tokens.

Owns both measures; what an hour costs stands in `costs`, which asks. Pure.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import Change


def share_left(
    case: Case, changes: tuple[Change, ...], typical_seconds: float | None
) -> tuple[float, float] | None:
    """(seconds that all rows would take, the share of them that is left); None: not known.

    `typical_seconds`: what a run of the same that succeeded took, where one is known.
    """
    rows, ran = case.rows, case.job.run_seconds
    if rows is None or not rows.rows or not ran:
        return None
    came_back = rows.done + sum(rows.failed.values())
    whole = typical_seconds or ran * rows.rows / max(came_back, 1)
    for change in changes:
        if change.field.endswith("tartingReplicaCount"):
            whole *= case.job.replicas / max(int(change.after or 1), 1)
    return whole, rows.left / rows.rows


class TokenSavings(Struct, frozen=True):
    """Of a Gemini batch, US dollars: what its done rows were billed, and what those that are left will be.

    `basis` says in words what the sums rest on.
    """

    saved_usd: float
    left_usd: float
    basis: str


def token_savings(case: Case, catalog: Catalog) -> TokenSavings | None:
    """By the tokens that the done rows say, at the model's price in a batch; None: one is not known."""
    rows = case.rows
    price = catalog.token_price(case.job.model_path) if case.job.is_gemini_batch else None
    if (
        price is None
        or rows is None
        or rows.tokens is None
        or rows.tokens.unpriced
        or not rows.done
    ):
        return None
    tokens = rows.tokens
    billed = price.usd(tokens.prompt, tokens.answer)
    each = (
        f"{tokens.prompt / rows.done:,.0f} and {tokens.answer / rows.done:,.0f} tokens a row so far, at "
        f"${price.prompt:g} and ${price.answer:g} a million"
    )
    left = billed / rows.done * rows.left
    return TokenSavings(billed, left, f"{rows.left:,} rows by {each}")
