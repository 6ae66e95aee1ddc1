"""What is known only from inside: the policy file in force, the channels, the ledger, the clocks.

The function itself is asked, by an event that names no job: it writes down what it sees (`own_view`),
with its own account, its own network and its own policy file. Where no event is sent or none arrives,
what can be seen from here is said to be seen from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from remediator.catalog.catalog import Catalog
from remediator.catalog.prices import GATHERED
from remediator.doctor.findings import CheckStatus, DoctorContext, Finding
from remediator.domain import (
    Json,
    Mode,
    PermissionDenied,
    RemediatorError,
    VariableNotSet,
    parse_time,
    rfc3339,
)
from remediator.intake import FAILURES_LOG
from remediator.policy import Policies
from remediator.redaction import redact

SILENT_AFTER = timedelta(minutes=15)
MOST_SKEW = timedelta(seconds=60)  # signatures of Slack's clicks and windows of budgets rest on it
NOTE = "doctor"
_WHY_LIMIT = 300


# --- the policy file ------------------------------------------------------------------------------


def policies(context: DoctorContext) -> Iterator[Finding]:
    try:
        found = context.policies()
    except RemediatorError as err:
        yield Finding(
            "policies",
            CheckStatus.PROBLEM,
            str(err),
            "without a policy file every event is sent back",
            "python -m remediator validate FILE",
        )
        return
    mode = f"mode {found.mode.value}"
    if found.mode is Mode.OBSERVE:
        mode += " (nothing is changed until it says enforce)"
    yield Finding("policies", CheckStatus.OK, f"{len(found.policies)} policies, {mode}")


def prices(context: DoctorContext) -> Iterator[Finding]:
    """What of the served regions' offer has no price, which limits in dollars then refuse there."""
    try:
        found = context.policies()
    except RemediatorError:
        return  # told by `policies`
    catalog = Catalog.built_in()
    missing = [catalog.unpriced(region) for region in context.locations]
    nothing = [one.region for one in missing if one.everything]
    if nothing and found.limits.has_money_limit:
        yield Finding(
            "prices",
            CheckStatus.PROBLEM,
            f"no price is known in {', '.join(nothing)}",
            "there a limit in dollars refuses every change that may cost more (unknown_price)",
            "take the region out of REMEDIATOR_LOCATIONS, or the limits in dollars out of the file",
        )
        return
    nowhere = sorted({family for one in missing for family in one.families})
    parts = [f"{', '.join(one.devices)} in {one.region}" for one in missing if one.devices]
    parts += [f"{', '.join(nowhere)} machines anywhere"] * bool(nowhere)
    unpriced = f"; not those of {'; '.join(parts)}" if parts else ""
    yield Finding(
        "prices",
        CheckStatus.OK,
        f"known in {', '.join(context.locations)}, as of {GATHERED}{unpriced}",
    )


# --- the event ------------------------------------------------------------------------------------


def event(token: str, now: datetime) -> dict[str, Any]:
    """The entry that is sent: the function writes down what it sees and does nothing else."""
    return {
        "insertId": f"vr-doctor-{token}",
        "timestamp": rfc3339(now),
        "severity": "NOTICE",
        "jsonPayload": {"message": "a check by doctor; nothing failed", "doctor": token},
    }


def own_view(
    token: str,
    now: datetime,
    *,
    policies: Callable[[], Policies],
    digest: Callable[[], str],
    check_channel: Callable[[str], None] | None,
) -> Json:
    """What the function sees: its policy file's digest, and of each channel why it is not reached.

    Without `check_channel` no channel is tried: there were many events of late.
    """
    view: dict[str, Any] = {"token": token, "at": rfc3339(now)}
    try:
        found = policies()
        view |= {"mode": found.mode.value, "digest": digest()}
    except RemediatorError as err:
        return view | {"fault": redact(str(err), _WHY_LIMIT)}
    if check_channel is None:
        return view

    def why_not(name: str) -> str:
        try:
            check_channel(name)
        except RemediatorError as err:
            return redact(str(err), _WHY_LIMIT) or type(err).__name__
        return ""

    names = tuple(found.channels)
    with ThreadPoolExecutor(max_workers=max(1, len(names)), thread_name_prefix="doctor") as pool:
        return view | {"channels": dict(zip(names, pool.map(why_not, names), strict=True))}


def event_and_channels(context: DoctorContext) -> Iterator[Finding]:
    """A failure entry of no job: through sink, topic, subscription and function to the ledger."""
    if not context.event_seconds:
        yield Finding(
            "event", CheckStatus.UNKNOWN, "not sent", fix="without --no-event one is sent"
        )
        yield from _channels_from_here(context)
        return
    started = context.now()
    context.write_log(FAILURES_LOG, [event(context.token, started)])
    view = _view_of_the_function(context)
    if view is None:
        yield Finding(
            "event",
            CheckStatus.PROBLEM,
            f"an entry written to {FAILURES_LOG} was not handled within {context.event_seconds:.0f} s",
            "failures in the log would not be handled either",
            f"look at the log of the service {context.name}-remediate, and at the findings above",
        )
        yield from _channels_from_here(context)
        return
    took = (context.now() - started).total_seconds()
    yield Finding("event", CheckStatus.OK, f"arrived in the function after {took:.0f} s")
    yield _file_in_force(context, view)
    if "channels" not in view:
        yield from _channels_from_here(context)
        return
    for name, why in view["channels"].items():
        yield _channel(name, str(why), seen="the function reads its secret, and it answers")


def _view_of_the_function(context: DoctorContext) -> Json | None:
    waited = 0.0
    while waited < context.event_seconds:
        seen = context.ledger().note(NOTE) or {}
        if seen.get("token") == context.token:
            return seen
        context.sleep(1.0)
        waited += 1.0
    return None


def _file_in_force(context: DoctorContext, view: Json) -> Finding:
    if view.get("fault"):
        return Finding(
            "policy file",
            CheckStatus.PROBLEM,
            f"the function has none: {view['fault']}",
            "every event is sent back",
            "python -m remediator validate FILE",
        )
    theirs, ours = str(view.get("digest") or ""), context.digest()
    if theirs == ours:
        return Finding(
            "policy file", CheckStatus.OK, f"the function decides by this one, sha256 {ours}"
        )
    return Finding(
        "policy file",
        CheckStatus.PROBLEM,
        f"the function decides by another one: mode {view.get('mode')}, sha256 {theirs}; "
        f"the one here is sha256 {ours}",
        "what was changed here is not in force",
        f"{context.apply}, or name the file that is deployed by REMEDIATOR_POLICIES",
    )


def _channels_from_here(context: DoctorContext) -> Iterator[Finding]:
    """Secrets are read and each channel is opened, and nothing is sent."""
    for name in context.policies().channels:
        why = ""
        try:
            context.check_channel(name)
        except VariableNotSet as err:
            if not context.is_self:
                yield Finding(
                    f"channel {name}",
                    CheckStatus.UNKNOWN,
                    f"not checked: {err} here",
                    fix="set it, or use secret:",
                )
                continue
            why = str(err)
        except RemediatorError as err:
            why = str(err)
        seen = "its secret is read and it answers"
        if not context.is_self:
            seen += " (from here; the function was not asked)"
        yield _channel(name, why, seen=seen)


def _channel(name: str, why: str, *, seen: str) -> Finding:
    if not why:
        return Finding(f"channel {name}", CheckStatus.OK, seen)
    return Finding(
        f"channel {name}",
        CheckStatus.PROBLEM,
        why,
        "alerts for it stay in the outbox, and are tried again for three days",
        f"python -m remediator alert preview CASE --channel {name} --send",
    )


# --- time passing ---------------------------------------------------------------------------------


def ledger(context: DoctorContext) -> Iterator[Finding]:
    held = context.ledger()
    try:
        stopped = held.stopped()
    except PermissionDenied:
        raise
    except RemediatorError as err:
        yield Finding(
            "ledger",
            CheckStatus.PROBLEM,
            f"it cannot be read: {err}",
            "nothing is claimed without it, so nothing is resubmitted and no alert is kept",
            context.apply,
        )
        return
    if stopped:
        yield Finding(
            "ledger",
            CheckStatus.PROBLEM,
            "the stop switch is on",
            "failures are diagnosed and told, and nothing is resubmitted",
            "python -m remediator start",
        )
    else:
        yield Finding("ledger", CheckStatus.OK, "it answers, and the stop switch is off")
    at = parse_time((held.note("reconciled") or {}).get("at"))
    age = context.now() - at if at else None
    if age is not None and age < SILENT_AFTER:
        yield Finding("sweep", CheckStatus.OK, f"reconcile ran {age.total_seconds():.0f} s ago")
        return
    said = f"reconcile last ran at {rfc3339(at)}" if at else "reconcile has never run"
    yield Finding(
        "sweep",
        CheckStatus.PROBLEM,
        said,
        "failed batch predictions are not found, waits and approvals not carried out",
        f"gcloud scheduler jobs run {context.name}-reconcile --location={context.region} "
        f"--project={context.project}, then look at the log of the service {context.name}-reconcile",
    )


def clock(context: DoctorContext) -> Iterator[Finding]:
    theirs = context.deployment.google_time()
    if theirs is None:
        yield Finding("clock", CheckStatus.UNKNOWN, "Google's answers bore no date")
        return
    skew = abs(context.now() - theirs)
    if skew <= MOST_SKEW:
        yield Finding(
            "clock", CheckStatus.OK, f"within {MOST_SKEW.total_seconds():.0f} s of Google's"
        )
        return
    yield Finding(
        "clock",
        CheckStatus.PROBLEM,
        f"this machine's clock is {skew.total_seconds():.0f} s off Google's",
        "ages of jobs, waits and budgets are reckoned by it",
        "set the clock by NTP",
    )
