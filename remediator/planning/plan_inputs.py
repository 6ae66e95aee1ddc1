"""What a decision is made from: the case, its diagnosis, the policies, the history, the catalog.

Owns what follows from them alone: the attempts so far, the number of the next one, the chain's root,
and what a policy's condition is asked about. Must not decide. Pure; called by `planner` and the modules
that it is made of.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import NO_PLACE, Attempt, Diagnosis, History
from remediator.job import JobFacts
from remediator.planning.costs import usd_per_hour
from remediator.policy import expressions
from remediator.policy.model import Policies

_LINES_ASKED = 200  # of a job's log for its exit code: the service writes it at the end
_NO_PLACE = frozenset(cause.value for cause in NO_PLACE)


class PlanInputs(Struct, frozen=True, dict=True):
    """All that a plan is made from; `case.now` is the only clock."""

    case: Case
    diagnosis: Diagnosis
    policies: Policies
    history: History
    catalog: Catalog

    @cached_property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those so far, oldest first; each that ended for want of a machine is marked so."""
        made = self.history.attempts or self.case.attempts
        ended_by = [*(one.verdict for one in made[1:]), self.diagnosis.verdict.value]
        return tuple(
            replace(one, unplaced=True) if cause in _NO_PLACE and not one.abandoned else one
            for one, cause in zip(made, ended_by, strict=False)
        )

    @cached_property
    def number(self) -> int:
        """Of the attempt that would be made: 1 for the first."""
        return max([len(self.attempts), *(attempt.number for attempt in self.attempts)]) + 1

    @cached_property
    def retries(self) -> int:
        return sum(attempt.is_retry for attempt in self.attempts)

    @cached_property
    def root(self) -> str:
        """Id of the first job of the chain. Labels alone put no job in a chain."""
        known = self.history.root.rpartition("/")[2]
        labelled = self.case.job.labels.get("remediator-root", "") if self.attempts else ""
        return known or labelled or self.case.job.name.id

    @cached_property
    def facts(self) -> JobFacts:
        return self.case.job.facts(self.catalog, self.case.model)

    @cached_property
    def exit_code(self) -> int | None:
        """What the program ended with, by the job's error, else by the last line that tells it."""
        lines = [line.text for line in reversed(self.case.log_lines[-_LINES_ASKED:])]
        return self.case.job.exit_code(*lines)

    def variables(self, zone: str | None = None) -> expressions.ExpressionValues:
        """What a condition is asked about; `now` in the zone, else in UTC."""
        now = self.case.now.astimezone(ZoneInfo(zone)) if zone else self.case.now
        return expressions.expression_values(
            {**self.known_values, "now": {"hour": now.hour, "weekday": now.isoweekday()}}
        )

    @cached_property
    def known_values(self) -> dict[str, Any]:
        job, before = self.case.job, self.attempts[-1].verdict if self.attempts else None
        return {
            "job": {
                **self.facts.variables(),
                "exit_code": self.exit_code,
                "usd_per_hour": usd_per_hour(job, job.name.location, self.catalog),
            },
            "diagnosis": {
                "cause": self.diagnosis.verdict.value,
                "confidence": self.diagnosis.confidence,
            },
            "attempt": {
                "number": len(self.attempts),
                "retries": self.retries,
                "cause": before,
            },
        }
