"""Checks a live deployment from its sink to its last alert, and says how to mend what is missing.

Each check stands alone: one that cannot be made says why and stops no other. Nothing is changed but
one note in the ledger, by which the event that it sends through sink, topic and function is known to
have arrived, and in which the function says what it sees itself. Called by the command `doctor`, by
way of `app`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from remediator.doctor import inside, quotas, rights, route
from remediator.doctor.findings import Finding, Status, Ward, unknown
from remediator.doctor.inside import NOTE, event, own_view
from remediator.doctor.rights import PERMISSIONS
from remediator.domain import Forbidden, RemediatorError

__all__ = [
    "NOTE",
    "PERMISSIONS",
    "Finding",
    "Status",
    "Ward",
    "as_text",
    "event",
    "examine",
    "own_view",
]

_CHECKS: Mapping[str, Callable[[Ward], Iterable[Finding]]] = {
    "policies": inside.policies,
    "prices": inside.prices,
    "sink": route.sink,
    "delivery": route.delivery,
    "dead letters": route.dead_letters,
    "function": route.functions,
    "callers": route.callers,
    "approvals": route.approvals,
    "event": inside.event_and_channels,
    "permissions": rights.permissions,
    "act as": rights.act_as,
    "ledger": inside.ledger,
    "schedule": route.schedule,
    "watch": route.watch,
    "quotas": quotas.quotas,
    "clock": inside.clock,
}


def examine(ward: Ward) -> tuple[Finding, ...]:
    """Every finding, in the order of the way that a failure takes through the deployment."""
    with ThreadPoolExecutor(max_workers=len(_CHECKS), thread_name_prefix="doctor") as pool:
        running = [pool.submit(_made, name, check, ward) for name, check in _CHECKS.items()]
        return tuple(finding for one in running for finding in one.result())


def _made(name: str, check: Callable[[Ward], Iterable[Finding]], ward: Ward) -> tuple[Finding, ...]:
    found: list[Finding] = []
    try:
        for finding in check(ward):
            found.append(finding)  # noqa: PERF402  # what was found before an error stays found
    except Forbidden as err:
        found.append(
            unknown(name, err, "ask for the permission, or run this as somebody who has it")
        )
    except (RemediatorError, ValueError, KeyError, TypeError) as err:
        found.append(
            unknown(name, err, "run this again; if it stays, look at the service it names")
        )
    return tuple(found)


def as_text(ward: Ward, findings: Sequence[Finding]) -> str:
    """A page for a terminal: problems with their mend, everything else on a line."""
    marks = {Status.OK: "ok", Status.PROBLEM: "PROBLEM", Status.UNKNOWN: "?"}
    width = max(len(one.check) for one in findings)
    lines = [f"{ward.name} in {ward.project}, {ward.region}", ""]
    for one in findings:
        lines.append(f"{marks[one.status]:8}{one.check:{width}}  {one.says}")
        if one.status is Status.OK:
            continue
        indent = " " * (8 + width + 2)
        lines += [f"{indent}why:  {one.why}"] * bool(one.why)
        lines += [f"{indent}mend: {one.mend}"] * bool(one.mend)
    problems = sum(one.status is Status.PROBLEM for one in findings)
    open_ones = sum(one.status is Status.UNKNOWN for one in findings)
    told = "no problem found" if not problems else f"{problems} problem(s)"
    lines += ["", told + (f", {open_ones} not checked" if open_ones else "")]
    return "\n".join(lines)
