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

from remediator.catalog.catalog import Catalogue
from remediator.catalog.prices import GATHERED
from remediator.doctor.findings import Finding, Status, Ward
from remediator.domain import Forbidden, Json, Mode, RemediatorError, parse_time, rfc3339
from remediator.intake import FAILURES_LOG
from remediator.policy import Policies
from remediator.redact import redact

SILENT_AFTER = timedelta(minutes=15)
MOST_SKEW = timedelta(seconds=60)  # signatures of Slack's clicks and windows of budgets rest on it
NOTE = "doctor"
_WHY_LIMIT = 300


# --- the policy file ------------------------------------------------------------------------------


def policies(ward: Ward) -> Iterator[Finding]:
    try:
        found = ward.policies()
    except RemediatorError as err:
        yield Finding(
            "policies",
            Status.PROBLEM,
            str(err),
            "without a policy file every event is sent back",
            "python -m remediator validate FILE",
        )
        return
    mode = f"mode {found.mode.value}"
    if found.mode is Mode.OBSERVE:
        mode += " (nothing is changed until it says enforce)"
    yield Finding("policies", Status.OK, f"{len(found.policies)} policies, {mode}")


def prices(ward: Ward) -> Iterator[Finding]:
    """What of the served regions' offer has no price, which limits in dollars then refuse there."""
    try:
        found = ward.policies()
    except RemediatorError:
        return  # told by `policies`
    book = Catalogue.built_in()
    missing = [book.unpriced(region) for region in ward.locations]
    nothing = [one.region for one in missing if one.everything]
    if nothing and found.limits.has_money_limit:
        yield Finding(
            "prices",
            Status.PROBLEM,
            f"no price is known in {', '.join(nothing)}",
            "there a limit in dollars refuses every change that may cost more (unknown_price)",
            "take the region out of REMEDIATOR_LOCATIONS, or the limits in dollars out of the file",
        )
        return
    devices = [f"{', '.join(one.devices)} in {one.region}" for one in missing if one.devices]
    unpriced = f"; not those of {'; '.join(devices)}" if devices else ""
    yield Finding(
        "prices", Status.OK, f"known in {', '.join(ward.locations)}, as of {GATHERED}{unpriced}"
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


def event_and_channels(ward: Ward) -> Iterator[Finding]:
    """A failure entry of no job: through sink, topic, subscription and function to the ledger."""
    if not ward.event_seconds:
        yield Finding("event", Status.UNKNOWN, "not sent", mend="without --no-event one is sent")
        yield from _channels_from_here(ward)
        return
    started = ward.now()
    ward.write_log(FAILURES_LOG, [event(ward.token, started)])
    view = _view_of_the_function(ward)
    if view is None:
        yield Finding(
            "event",
            Status.PROBLEM,
            f"an entry written to {FAILURES_LOG} was not handled within {ward.event_seconds:.0f} s",
            "failures in the log would not be handled either",
            f"look at the log of the service {ward.name}-remediate, and at the findings above",
        )
        yield from _channels_from_here(ward)
        return
    took = (ward.now() - started).total_seconds()
    yield Finding("event", Status.OK, f"arrived in the function after {took:.0f} s")
    yield _file_in_force(ward, view)
    if "channels" not in view:
        yield from _channels_from_here(ward)
        return
    for name, why in view["channels"].items():
        yield _channel(name, str(why), seen="the function reads its secret, and it answers")


def _view_of_the_function(ward: Ward) -> Json | None:
    waited = 0.0
    while waited < ward.event_seconds:
        seen = ward.ledger().note(NOTE) or {}
        if seen.get("token") == ward.token:
            return seen
        ward.sleep(1.0)
        waited += 1.0
    return None


def _file_in_force(ward: Ward, view: Json) -> Finding:
    if view.get("fault"):
        return Finding(
            "policy file",
            Status.PROBLEM,
            f"the function has none: {view['fault']}",
            "every event is sent back",
            "python -m remediator validate FILE",
        )
    theirs, ours = str(view.get("digest") or ""), ward.digest()
    if theirs == ours:
        return Finding("policy file", Status.OK, f"the function decides by this one, sha256 {ours}")
    return Finding(
        "policy file",
        Status.PROBLEM,
        f"the function decides by another one: mode {view.get('mode')}, sha256 {theirs}; "
        f"the one here is sha256 {ours}",
        "what was changed here is not in force",
        f"{ward.apply}, or name the file that is deployed by REMEDIATOR_POLICIES",
    )


def _channels_from_here(ward: Ward) -> Iterator[Finding]:
    """Secrets are read and each channel is opened, and nothing is sent."""
    for name in ward.policies().channels:
        why = ""
        try:
            ward.check_channel(name)
        except RemediatorError as err:
            why = str(err)
        if why.startswith("the environment variable") and not ward.is_self:
            yield Finding(
                f"channel {name}",
                Status.UNKNOWN,
                f"not checked: {why} here",
                mend="set it, or use secret:",
            )
            continue
        seen = "its secret is read and it answers"
        if not ward.is_self:
            seen += " (from here; the function was not asked)"
        yield _channel(name, why, seen=seen)


def _channel(name: str, why: str, *, seen: str) -> Finding:
    if not why:
        return Finding(f"channel {name}", Status.OK, seen)
    return Finding(
        f"channel {name}",
        Status.PROBLEM,
        why,
        "alerts for it stay owed, and are tried again for three days",
        f"python -m remediator alert preview CASE --channel {name} --send",
    )


# --- time passing ---------------------------------------------------------------------------------


def ledger(ward: Ward) -> Iterator[Finding]:
    held = ward.ledger()
    try:
        stopped = held.stopped()
    except Forbidden:
        raise
    except RemediatorError as err:
        yield Finding(
            "ledger",
            Status.PROBLEM,
            f"it cannot be read: {err}",
            "nothing is claimed without it, so nothing is resubmitted and no alert is kept",
            ward.apply,
        )
        return
    if stopped:
        yield Finding(
            "ledger",
            Status.PROBLEM,
            "the stop switch is on",
            "failures are diagnosed and told, and nothing is resubmitted",
            "python -m remediator start",
        )
    else:
        yield Finding("ledger", Status.OK, "it answers, and the stop switch is off")
    at = parse_time((held.note("reconciled") or {}).get("at"))
    age = ward.now() - at if at else None
    if age is not None and age < SILENT_AFTER:
        yield Finding("sweep", Status.OK, f"reconcile ran {age.total_seconds():.0f} s ago")
        return
    said = f"reconcile last ran at {rfc3339(at)}" if at else "reconcile has never run"
    yield Finding(
        "sweep",
        Status.PROBLEM,
        said,
        "failed batch predictions are not found, waits and approvals not carried out",
        f"gcloud scheduler jobs run {ward.name}-reconcile --location={ward.region} "
        f"--project={ward.project}, then look at the log of the service {ward.name}-reconcile",
    )


def clock(ward: Ward) -> Iterator[Finding]:
    ward.deployment.granted(("resourcemanager.projects.get",))
    theirs = ward.deployment.google_time
    if theirs is None:
        yield Finding("clock", Status.UNKNOWN, "Google's answers bore no date")
        return
    skew = abs(ward.now() - theirs)
    if skew <= MOST_SKEW:
        yield Finding("clock", Status.OK, f"within {MOST_SKEW.total_seconds():.0f} s of Google's")
        return
    yield Finding(
        "clock",
        Status.PROBLEM,
        f"this machine's clock is {skew.total_seconds():.0f} s off Google's",
        "ages of jobs, waits and budgets are reckoned by it",
        "set the clock by NTP",
    )
