"""A ledger whose documents can be read, and claims, for the tests of the ledger's verbs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from remediator.domain import Attempt, Change, JobState
from remediator.ledger import (
    Claim,
    Conclusion,
    Incident,
    Ledger,
    Limit,
    Stage,
)
from remediator.ledger.records import doc_id
from tests.ledger.memory import MemoryStore

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LEASE = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
DAY = "usd:2026-11-23"


ROOT = "projects/1/locations/us-central1/customJobs/1"


KEY = "us-central1/customJobs/1"


class ReadableLedger(Ledger):
    """A ledger in memory whose documents can be read."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        super().__init__(self.store)

    def seen(self, key: str = KEY) -> Incident:
        found = self.incident(key)
        assert found is not None
        return found

    def standing(self, key: str = KEY) -> Claim:
        found = self.chain(key)
        assert found is not None
        assert found.claim is not None
        return found.claim

    def total(self, key: str = DAY) -> float:
        body = self.store.get("counters", doc_id(key)) or {}
        return float(body.get("total", 0.0))

    def marks(self, key: str = "rate:all") -> list[list[float]]:
        body = self.store.get("counters", doc_id(key)) or {}
        return list(body.get("marks", ()))


def opened_ledger() -> ReadableLedger:
    """One with the incident that claims are taken for."""
    ledger = ReadableLedger()
    ledger.open(incident_of())
    return ledger


def name(number: int) -> str:
    return f"projects/1/locations/us-central1/customJobs/{number}"


def incident_of(number: int = 1, **more: Any) -> Incident:
    key = f"us-central1/customJobs/{number}"
    known = {"stage": Stage.UNSETTLED, "first_known": NOW, "root": key}
    return Incident(key=key, job=name(number), **{**known, **more})


def wanted(token: str = "t", **more: Any) -> Claim:
    known: dict[str, Any] = {
        "incident": KEY,
        "policy": "p",
        "step": 1,
        "number": 1,
        "verdict": "memory_pressure",
        "changes": (Change("f", 1, 2),),
        "acquired_at": NOW,
        "lease_until": NOW + LEASE,
        "estimated_usd": 4.0,
        "location": "us-central1",
    }
    return Claim(token=token, **{**known, **more})


def limits_of(usd: float = 4.0, most: float = 100.0, key: str = DAY) -> tuple[Limit, ...]:
    return (
        Limit(key, "usd_per_day", most, usd),
        Limit("rate:all", "rate", 50.0, 1.0, 3600.0),
    )


def claim_of(ledger: ReadableLedger, token: str = "t", **more: Any) -> Claim:
    limits = more.pop("limits", limits_of())
    answer = ledger.claim(ledger.seen(), ROOT, wanted(token, **more), now=NOW, limits=limits)
    assert answer.mine, answer.refused_by
    assert answer.claim is not None
    return answer.claim


def attempt_of(number: int = 1, **more: Any) -> Attempt:
    known: dict[str, Any] = {
        "name": name(100 + number),
        "state": JobState.PENDING,
        "create_time": NOW,
        "policy": "p",
        "step": 1,
        "verdict": "memory_pressure",
        "changes": (Change("f", 1, 2),),
        "claim": "t",
        "number": number,
        "estimated_usd": 4.0,
    }
    return Attempt(**{**known, **more})


def record(ledger: ReadableLedger, attempt: Attempt | None = None, **following: Any) -> bool:
    attempt = attempt or attempt_of()
    done = replace(ledger.seen(), stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED)
    follows = incident_of(
        100 + attempt.number,
        **{"stage": Stage.FOLLOWED, "root": KEY, "attempt": attempt.number, **following},
    )
    return ledger.record(KEY, ledger.standing().token, attempt, incident=done, following=follows)


GROUP = f"{DAY}:service_account:a"
