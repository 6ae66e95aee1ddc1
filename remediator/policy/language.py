"""The policy language: text in, frozen policies or every mistake out.

Owns `load`, and gathers the language's public names. Must not read files, secrets or the
environment: callers hand in text. Called by the door (at import of `main`), the command line
(`validate`, `plan`, `test`, `schema`) and the tests; the planner and the guards use the models.
"""

from __future__ import annotations

from remediator.policy.model import (
    OWNER,
    Accelerator,
    Approvers,
    Breaker,
    Channel,
    Email,
    Limits,
    OwnerRule,
    Owners,
    Per,
    Policies,
    Policy,
    Probes,
    Resubmit,
    Slack,
    Step,
    Tighter,
    When,
    bound,
    matches_any,
    matches_labels,
)

__all__ = [
    "OWNER",
    "Accelerator",
    "Approvers",
    "Breaker",
    "Channel",
    "Email",
    "Limits",
    "OwnerRule",
    "Owners",
    "Per",
    "Policies",
    "Policy",
    "Probes",
    "Resubmit",
    "Slack",
    "Step",
    "Tighter",
    "When",
    "bound",
    "matches_any",
    "matches_labels",
]
