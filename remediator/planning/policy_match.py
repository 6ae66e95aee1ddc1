"""Which policy decides about a case, and why each one before it did not. Pure; called by `planner`."""

from __future__ import annotations

from typing import Any

from remediator.domain import Cause
from remediator.planning.plan_inputs import PlanInputs
from remediator.policy.matching import why_not
from remediator.policy.model import Policy
from remediator.policy.selection import When


class PolicyMatch:
    """Finds the policy that decides; collects why each one did or did not match."""

    def __init__(self, inputs: PlanInputs) -> None:
        self._inputs = inputs
        self.explanation: list[str] = []

    def first(self, policies: tuple[Policy, ...]) -> Policy | None:
        for policy in policies:
            why_not = self._why_not(policy)
            if why_not:
                self.explanation.append(f"{policy.name}: does not match: {why_not}")
            else:
                self.explanation.append(f"{policy.name}: matches")
                return policy
        return None

    def _why_not(self, policy: Policy) -> str:
        if not policy.enabled:
            return "it is switched off (`enabled: false`)"
        return self._wrong_verdict(policy.when) or self._wrong_job(policy.when)

    def _wrong_verdict(self, when: When) -> str:
        diagnosis = self._inputs.diagnosis
        verdict, confidence = diagnosis.verdict, diagnosis.confidence
        if when.cause is not None and verdict not in when.cause:
            return f"the verdict {verdict.value} is not among {_values_in_words(when.cause)}"
        if verdict is not Cause.UNKNOWN and confidence < when.needed_confidence:
            return f"confidence {confidence:.2f} is under {when.needed_confidence:g}"
        if verdict is Cause.UNKNOWN and when.min_confidence is not None:
            return f"the verdict is unknown, and confidence {when.min_confidence:g} is asked for"
        return ""

    def _wrong_job(self, when: When) -> str:
        return why_not(when, self._inputs.facts, self._inputs.variables)


def _values_in_words(values: tuple[Any, ...]) -> str:
    return ", ".join(value.value for value in values)
