"""The mode that holds for a policy, and why a person must say yes before its step is taken.

The strictest of what the file, the policy and the deployment say, and `approve` where a job's kind is
not safe to run again and nobody has vouched for it. Pure; called by `planner`.
"""

from __future__ import annotations

from remediator.domain import Mode
from remediator.job import SWITCH_LABEL
from remediator.planning.plan_inputs import PlanInputs
from remediator.policy.model import Policy

_STRICTNESS = (Mode.ENFORCE, Mode.APPROVE, Mode.OBSERVE)


def approval_lines(inputs: PlanInputs, policy: Policy) -> tuple[str, ...]:
    """For `--explain`: the mode that holds, and why a person is asked."""
    own = f", the policy {policy.mode.value}" if policy.mode is not None else ""
    most = inputs.history.max_mode
    bound = f", REMEDIATOR_MAX_MODE {most.value}" if most is not None else ""
    held, said = mode_for(inputs, policy).value, inputs.policies.mode.value
    first = f"mode {held}: the file says {said}{own}{bound}"
    asks = "would be asked if it acted" if held == Mode.OBSERVE else "is asked"
    reasons = _reasons(inputs, policy, reruns=True)
    return (first, *(f"a person {asks}, since {reason}" for reason in reasons))


def approval_reasons(inputs: PlanInputs, policy: Policy, *, reruns: bool = True) -> tuple[str, ...]:
    """Why a person must say yes first, each with what would make that needless; none: nobody.

    `reruns`: whether the job is run again, and not only ended. In observe nobody is asked.
    """
    observed = mode_for(inputs, policy, reruns=reruns) is Mode.OBSERVE
    return () if observed else _reasons(inputs, policy, reruns=reruns)


def _reasons(inputs: PlanInputs, policy: Policy, *, reruns: bool) -> tuple[str, ...]:
    """The same whatever the mode: in observe they tell what `enforce` would still ask."""
    reasons: list[str] = []
    if reruns and not may_run_again(inputs):
        kind = inputs.case.job.kind.value
        safe = ", ".join((*(one.value for one in inputs.policies.rerun_safe), kind))
        reasons.append(
            f"`{kind}` is not in `rerun_safe`: with `rerun_safe: [{safe}]` in the policy file, or "
            f"the label {SWITCH_LABEL}=on on the job, nobody need be asked"
        )
    if inputs.policies.mode is Mode.APPROVE:
        reasons.append("the policy file says `mode: approve`; `enforce` asks nobody")
    if policy.mode is Mode.APPROVE:
        reasons.append(f"the policy {policy.name} says `mode: approve`; `enforce` asks nobody")
    if inputs.history.max_mode is Mode.APPROVE:
        reasons.append("REMEDIATOR_MAX_MODE is `approve`, whatever the policy file says")
    return tuple(reasons)


def mode_for(inputs: PlanInputs, policy: Policy | None, *, reruns: bool = True) -> Mode:
    modes = [inputs.policies.mode]
    if policy is not None and policy.mode is not None:
        modes.append(policy.mode)
    if inputs.history.max_mode is not None:
        modes.append(inputs.history.max_mode)
    if reruns and not may_run_again(inputs):
        modes.append(Mode.APPROVE)
    return max(modes, key=_STRICTNESS.index)


def may_run_again(inputs: PlanInputs) -> bool:
    """Whether nobody need say yes: the kind is safe to run again, or its author vouches."""
    vouched = inputs.case.job.labels.get(SWITCH_LABEL) == "on"
    return vouched or inputs.case.job.kind in inputs.policies.rerun_safe
