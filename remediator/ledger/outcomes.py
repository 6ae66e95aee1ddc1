"""How resubmissions have ended, by what they have in common: a breaker of a policy, similar jobs, or the
same work.

Owns the shape of these short memories (the latest ends alone, newest last). Pure; `ledger` stores them
and `decide` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from remediator.domain import Json, VainAttempt, parse_time, rfc3339
from remediator.domain.time_words import moment_words
from remediator.ledger.encoding import BrokenDocument

_KEPT = 50


class PastOutcome(Struct, frozen=True):
    """How one resubmission ended. `size` as the planner keeps sizes; `seconds` it ran, if known.

    `verdict`: of the failure that it was made for; empty in ends of earlier versions.
    """

    at: datetime
    policy: str
    succeeded: bool
    size: Json
    seconds: float | None = None
    verdict: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "at": rfc3339(self.at),
            "policy": self.policy,
            "succeeded": self.succeeded,
            "size": dict(self.size),
            "seconds": self.seconds,
            "verdict": self.verdict,
        }

    @classmethod
    def parse(cls, body: Json) -> PastOutcome | None:
        at = parse_time(body.get("at"))
        if at is None:
            return None
        seconds, size = body.get("seconds"), body.get("size")
        return cls(
            at=at,
            policy=str(body.get("policy") or ""),
            succeeded=body.get("succeeded") is True,
            size=size if isinstance(size, Mapping) else {},
            seconds=float(seconds) if isinstance(seconds, int | float) else None,
            verdict=str(body.get("verdict") or ""),
        )


def outcomes_in(body: Json | None) -> tuple[PastOutcome, ...]:
    """The ends that a stored track holds, oldest first; none where it cannot be read."""
    if body is None or isinstance(body, BrokenDocument):
        return ()
    listed = body.get("ends")
    found = (
        PastOutcome.parse(one)
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, Mapping)
    )
    return tuple(one for one in found if one is not None)


def added(body: Json | None, end: PastOutcome) -> dict[str, Any]:
    """The track with one more end, without its oldest where there are too many."""
    return {"ends": [one.to_json() for one in (*outcomes_in(body), end)][-_KEPT:]}


def vain_in(body: Json | None) -> tuple[VainAttempt, ...]:
    """The attempts in vain that a stored track holds, oldest first; none where it cannot be read."""
    if body is None or isinstance(body, BrokenDocument):
        return ()
    listed = body.get("vain")
    found = (
        VainAttempt.parse(one)
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, Mapping)
    )
    return tuple(one for one in found if one is not None)


def with_vain(body: Json | None, attempts: Iterable[VainAttempt]) -> dict[str, Any]:
    """The track with these attempts, each once, without its oldest where there are too many."""
    held = {(one.root, one.number): one for one in (*vain_in(body), *attempts)}
    return {"vain": [one.to_json() for one in tuple(held.values())[-_KEPT_IN_VAIN:]]}


_KEPT_IN_VAIN = 24  # chosen: four chains of six attempts; a kilobyte each at most


class BreakerPause(Struct, frozen=True):
    """Nothing is resubmitted until then, since so many of the last ended badly."""

    until: datetime
    failed: int
    of_last: int

    def __str__(self) -> str:
        last = f"{self.failed} of the last {self.of_last} failed"
        return f"{last}; paused until {moment_words(self.until)}"


def pause_of(
    track: Iterable[PastOutcome],
    now: datetime,
    *,
    failed_share: float,
    of_last: int,
    pause: timedelta,
) -> BreakerPause | None:
    """The pause that the latest ends ask for, whether it is over or not; None: they ask for none.

    Once it is over one may try again: if that fails too, the pause begins anew; if it succeeds, it is
    ended.
    """
    latest = tuple(track)[-of_last:]
    failed = [one for one in latest if not one.succeeded]
    if len(latest) < of_last or len(failed) < failed_share * len(latest) or not failed:
        return None
    until = max(one.at for one in failed) + pause
    if latest[-1].succeeded and now >= until:
        return None
    return BreakerPause(until, len(failed), len(latest))
