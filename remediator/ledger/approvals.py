"""What waits for a person's yes, what a yes covers, and how people name it.

Owns the question about a plan, the list of pending ones and the choice of one by its id, the beginning of
its id, or its job. Pure; the questions' words are given by the caller. Called by the workflow and the command line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from remediator.domain import InvalidInput, Plan, rfc3339
from remediator.ledger.records import Approval, Incident, Stage

_MOST_NAMED = 5
# Crockford's base 32: digits and letters without those that are taken for another.
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LETTERS = 8  # chosen: 40 bits tell a million pending questions apart, and people can type it


def approval_id(token: str) -> str:
    """An id that people can read out and type, such as `7f3k-9m2q`, of a random token."""
    number = int.from_bytes(hashlib.sha256(token.encode()).digest()[:_ID_LETTERS])
    letters = "".join(_LETTERS[(number >> 5 * place) & 31] for place in range(_ID_LETTERS))
    return f"{letters[:4]}-{letters[4:]}"


def offer(plan: Plan, *, token: str, expires: datetime) -> Approval:
    """The question about a plan: its digest and its bounds are part of what a yes covers."""
    return Approval(
        id=approval_id(token),
        digest=plan.digest,
        expires=expires,
        estimated_usd=plan.estimated_usd,
        worst_case_usd=plan.worst_case_usd,
        longest_seconds=plan.longest_seconds,
        reason="; ".join(plan.approval_reasons),
    )


def covers(approval: Approval, made: Plan) -> bool:
    """Whether the plan is the one that was shown: neither dearer nor longer by more than a tenth."""
    return approval.digest == made.digest and all(
        _is_within(now, shown)
        for now, shown in (
            (made.estimated_usd, approval.estimated_usd),
            (made.worst_case_usd, approval.worst_case_usd),
            (made.longest_seconds, approval.longest_seconds),
        )
    )


def _is_within(now: float | None, shown: float | None) -> bool:
    if now is None or shown is None:  # what became known, or unknown, since is something else
        return now is shown
    return now <= shown * _RISE + _CENT


_RISE = 1.1
_CENT = 0.005  # what was shown was rounded


class PendingApproval(Struct, frozen=True):
    """One question that nobody has answered. `usd` is the estimate; None where it is not known."""

    id: str
    job: str
    display_name: str
    question: str
    usd: float | None
    until: datetime
    reason: str
    policy: str
    step: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "job": self.job,
            "display_name": self.display_name,
            "question": self.question,
            "usd": self.usd,
            "until": rfc3339(self.until),
            "reason": self.reason,
        }

    def asks_the_same_as(self, other: PendingApproval) -> bool:
        """The same policy asks for the same change; the jobs may differ."""
        mine = (self.policy, self.step, self.question)
        return mine == (other.policy, other.step, other.question)


def pending_approvals(
    incidents: Iterable[Incident], now: datetime, question_of: Callable[[Incident], str]
) -> tuple[PendingApproval, ...]:
    """The questions that may still be answered, those that expire first in front."""
    found = [
        PendingApproval(
            id=one.approval.id,
            job=one.job,
            display_name=one.display_name,
            question=question_of(one),
            usd=one.estimated_usd,
            until=one.approval.expires,
            reason=one.approval.reason,
            policy=one.policy,
            step=one.step,
        )
        for one in incidents
        if one.stage is Stage.APPROVAL
        and one.approval is not None
        and not one.approval.answer
        and one.approval.expires > now
    ]
    return tuple(sorted(found, key=lambda one: (one.until, one.id)))


def chosen_approval(pending: Sequence[PendingApproval], text: str) -> PendingApproval | None:
    """The one that `text` names: an id, the beginning of one, or its job (name, id or display name).

    None where nothing pending is named so; raises InvalidInput where several are.
    """
    for names in (_by_id, _by_prefix, _by_job):
        found = [one for one in pending if names(one, text)]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(f"{one.id} ({one.display_name})" for one in found[:_MOST_NAMED])
            msg = f"{text!r} names {len(found)} pending approvals: {ids}; say one id, or --like ID"
            raise InvalidInput(msg)
    return None


def _by_id(one: PendingApproval, text: str) -> bool:
    return one.id == text


def _by_prefix(one: PendingApproval, text: str) -> bool:
    return one.id.startswith(text)


def _by_job(one: PendingApproval, text: str) -> bool:
    return text in {one.job, one.job.rpartition("/")[2], one.display_name}
