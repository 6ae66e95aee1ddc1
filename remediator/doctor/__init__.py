"""Checks a live deployment from its sink to its last alert, and says how to fix what is missing.

Each check stands alone: one that cannot be made says why and stops no other. Nothing is changed but
one note in the ledger, by which the event that it sends through sink, topic and function is known to
have arrived, and in which the function says what it sees itself. Called by the command `doctor`, by
way of `app`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from remediator.doctor import delivery_path, from_inside, permissions, quotas
from remediator.doctor.findings import CheckStatus, DoctorContext, Finding, unknown
from remediator.doctor.from_inside import NOTE, event, own_view
from remediator.doctor.permissions import PERMISSIONS
from remediator.domain import PermissionDenied, RemediatorError

__all__ = [
    "NOTE",
    "PERMISSIONS",
    "CheckStatus",
    "DoctorContext",
    "Finding",
    "as_text",
    "event",
    "examine",
    "own_view",
]

_CHECKS: Mapping[str, Callable[[DoctorContext], Iterable[Finding]]] = {
    "policies": from_inside.policies,
    "prices": from_inside.prices,
    "sink": delivery_path.sink,
    "delivery": delivery_path.delivery,
    "dead letters": delivery_path.dead_letters,
    "function": delivery_path.functions,
    "callers": delivery_path.callers,
    "approvals": delivery_path.approvals,
    "event": from_inside.event_and_channels,
    "permissions": permissions.permissions,
    "act as": permissions.act_as,
    "resume bucket": permissions.resume_bucket,
    "resume dataset": permissions.resume_dataset,
    "ledger": from_inside.ledger,
    "schedule": delivery_path.schedule,
    "watch": delivery_path.watch,
    "quotas": quotas.quotas,
    "clock": from_inside.clock,
}


def examine(context: DoctorContext) -> tuple[Finding, ...]:
    """Every finding, in the order of the way that a failure takes through the deployment."""
    with ThreadPoolExecutor(max_workers=len(_CHECKS), thread_name_prefix="doctor") as pool:
        running = [pool.submit(_made, name, check, context) for name, check in _CHECKS.items()]
        return tuple(finding for one in running for finding in one.result())


def _made(
    name: str, check: Callable[[DoctorContext], Iterable[Finding]], context: DoctorContext
) -> tuple[Finding, ...]:
    found: list[Finding] = []
    try:
        for finding in check(context):
            found.append(finding)  # noqa: PERF402  # what was found before an error stays found
    except PermissionDenied as err:
        found.append(
            unknown(
                name,
                err,
                "log in (gcloud auth application-default login), ask for the permission, or run this as "
                "somebody who has it",
            )
        )
    except (RemediatorError, ValueError, KeyError, TypeError) as err:
        found.append(
            unknown(name, err, "run this again; if it stays, look at the service it names")
        )
    return tuple(found)


def as_text(context: DoctorContext, findings: Sequence[Finding]) -> str:
    """A page for a terminal: problems with their fix, everything else on a line."""
    marks = {CheckStatus.OK: "ok", CheckStatus.PROBLEM: "PROBLEM", CheckStatus.UNKNOWN: "?"}
    width = max(len(one.check) for one in findings)
    lines = [f"{context.name} in {context.project}, {context.region}", ""]
    for one in findings:
        lines.append(f"{marks[one.status]:8}{one.check:{width}}  {one.says}")
        if one.status is CheckStatus.OK:
            continue
        indent = " " * (8 + width + 2)
        lines += [f"{indent}why:  {one.why}"] * bool(one.why)
        lines += [f"{indent}fix: {one.fix}"] * bool(one.fix)
    problems = sum(one.status is CheckStatus.PROBLEM for one in findings)
    open_ones = sum(one.status is CheckStatus.UNKNOWN for one in findings)
    verdict = "no problem found" if not problems else f"{problems} problem(s)"
    lines += ["", verdict + (f", {open_ones} not checked" if open_ones else "")]
    return "\n".join(lines)
