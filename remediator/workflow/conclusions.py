"""How an incident ends without a change, and how a chain does; its messages go with it.

Owns the conclusions and their outbox messages, each in one transaction of the ledger. Called by `incident`
and `resubmit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.outbox import ChainChange, Outbox, parts_of
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    ACT_AS,
    Action,
    Guard,
    JobState,
    Part,
    PermissionDenied,
    RemediatorError,
    VainAttempt,
    rfc3339,
)
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job, summary
from remediator.job.batch import manifest_of
from remediator.job.likeness import EVERY_ACCOUNT, alike, breaker_track, vain_track
from remediator.ledger import (
    Chain,
    Conclusion,
    Incident,
    Ledger,
    Stage,
    UnreadableDocument,
)
from remediator.log import LogEvent
from remediator.planning import alert_routing, costs, draft, expected_time, similar_sizes, vain
from remediator.workflow.incident_context import IncidentContext, job_facts
from remediator.workflow.services import Clock, Configuration, Records, RowsOfBatches

Ending = tuple[AlertKind, Conclusion]
"""What an alert is about, and how the incident is concluded with it."""
OBSERVED: Ending = (AlertKind.OBSERVED, Conclusion.OBSERVED)
GIVEN_UP: Ending = (AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
ALERTED: Ending = (AlertKind.ALERT, Conclusion.ALERTED)
RECOVERED: Ending = (AlertKind.RECOVERED, Conclusion.RECOVERED)


def ending_without_change(chain: Chain) -> Ending:
    """Nothing more is resubmitted: given up where something was, else only told."""
    return GIVEN_UP if chain.attempts else ALERTED


def conclude_with_alert(
    context: IncidentContext,
    config: Configuration,
    records: Records,
    now: datetime,
    ending: Ending,
) -> str:
    """Conclude without a change: the alert is enqueued with the conclusion, in one transaction."""
    kind, conclusion = ending
    done = replace(context.incident, stage=Stage.DONE, conclusion=conclusion)
    write_manifest(context.chain, context.job, records.rows)
    facts = replace(context.facts(kind, now=now), grant=_grant_command(context, config))
    if not records.publish_move(
        done,
        facts,
        context.plan.alerts,
        now,
        change=context.change(is_final=True),
        vain=_tried_in_vain(context) if conclusion is Conclusion.GIVEN_UP else None,
    ):
        return "already handled by another execution"
    return f"{conclusion}: {context.diagnosis.verdict}"


def _tried_in_vain(context: IncidentContext) -> dict[str, tuple[VainAttempt, ...]]:
    """What a chain that is given up tried for nothing, by the tracks in which it is kept: by the job's own
    account and for all."""
    attempts = context.chain.attempts
    found = vain.attempts_in_vain(
        context.case,
        attempts,
        context.diagnosis.verdict,
        root=context.chain.root,
        usd=context.chain.spent_usd,
    )
    if not found:
        return {}
    work = draft.origin(context.job, attempts)
    return {
        key: found for key in (vain_track(work), vain_track(work, account=EVERY_ACCOUNT)) if key
    }


def wait_until_due(context: IncidentContext, records: Records, now: datetime) -> str:
    """No end yet: the incident comes up again when the plan says, and people are told so."""
    waiting = replace(
        context.incident,
        stage=Stage.WAITING,
        due=context.plan.not_before,
        not_before=context.plan.not_before,
    )
    facts = context.facts(AlertKind.WAITING, now=now)
    until = context.plan.not_before
    change = replace(
        context.change(is_final=False),
        action=Action.WAIT,
        waits_for=rfc3339(until) if until else None,
    )
    records.publish_move(waiting, facts, context.plan.alerts, now, change=change)
    return f"waiting until {context.plan.not_before}"


_EMAIL = late_pattern(r"[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com")


def _grant_command(context: IncidentContext, config: Configuration) -> str:
    """The command that lets us act as the job's account; empty unless it is that which was refused.

    Only for what looks like an account, since the command is there to be pasted into a shell.
    """
    denied = context.denied
    refused = denied is not None and denied.names(ACT_AS)
    if not refused and Guard.SERVICE_ACCOUNT not in context.plan.refused_by:
        return ""
    account = context.job.service_account or ""
    if not account and refused:  # such as the default one of a pipeline run, which Google names
        named = _EMAIL.search(str(denied))
        account = named[0] if named else ""
    own = config.own_account()
    if not _EMAIL.fullmatch(account) or not _EMAIL.fullmatch(own):
        return ""
    return (
        f"gcloud iam service-accounts add-iam-policy-binding {account} "
        f"--member=serviceAccount:{own} --role=roles/iam.serviceAccountUser"
    )


def alert_missing_permission(
    err: PermissionDenied, config: Configuration, outbox: Outbox, clock: Clock
) -> None:
    """We may not do what we must: every channel hears of it once a day for each permission.

    No job of the alert's is named: whichever was met first, all of them wait for the same grant.
    """
    now = clock()
    words = " ".join(str(err).split())
    named = _PERMISSION.search(words)
    what = named[1] if named else hashlib.sha256(_DIGITS.sub("", words).encode()).hexdigest()[:12]
    facts = AlertFacts(
        kind=AlertKind.NO_PERMISSION,
        display_name=named[1] if named else "",
        root=f"permission/{what}/{now:%Y-%m-%d}",
        error=words,
        extra=(_UNTIL_GRANTED,),
    )
    channels = alert_routing.all_channels(config.policies())
    outbox.publish(facts, channels, now)


def unreadable_document_facts(err: UnreadableDocument, *, set_aside: bool = False) -> AlertFacts:
    """Of a document that cannot be read: every channel hears of each once."""
    return AlertFacts(
        kind=AlertKind.LEDGER_DAMAGED,
        display_name=f"{err.collection}:{err.key}",
        root=f"ledger/{err.collection}/{err.key}",
        extra=(f"{str(err)[:1].upper()}{str(err)[1:]}.", *((_SET_ASIDE,) * set_aside)),
    )


_SET_ASIDE = "It was set aside; what stood in it is kept under `damaged:`."
_UNTIL_GRANTED = (
    "Until it is granted, failures wait: they are tried again for a day, then told or kept as "
    "dead letters."
)
_PERMISSION = late_pattern(r"[Pp]ermission '?([a-z]+\.[A-Za-z]+\.[A-Za-z]+)")
_DIGITS = late_pattern(r"\S*\d\S*")  # names and numbers of jobs, which differ each time

# --- ends ----------------------------------------------------------------------------------------


def close_incident(incident: Incident, ledger: Ledger, conclusion: Conclusion, reason: str) -> None:
    ledger.move(replace(incident, stage=Stage.DONE, conclusion=conclusion, reason=reason))


def settle_attempt(
    job: Job, chain: Chain, ledger: Ledger, catalog: Catalog, *, final: bool
) -> Chain:
    usd = costs.spent_usd(job, catalog)
    if usd is not None:
        made = (one for one in chain.attempts if one.name == str(job.name))
        usd += sum(one.resume.query_usd for one in made)
    return ledger.settle(
        chain.key,
        job.name.key,
        state=job.state,
        ended=job.end_time,
        usd=usd,
        usd_by_day=costs.usd_by_day(usd, job.start_time, job.end_time)
        if usd is not None and job.end_time is not None
        else None,
        final=final,
        outcome_keys=() if _says_nothing(job) else outcome_keys_of(job, policy_of(chain, job)),
        size=similar_sizes.size_of(job),
        seconds=job.run_seconds,
    )


def _says_nothing(job: Job) -> bool:
    """Whether its end says nothing of its policy or its size: somebody ended it, or it never began."""
    return job.state is JobState.CANCELLED or expected_time.got_no_machine(job)


def policy_of(chain: Chain, job: Job) -> str:
    """The policy that made this attempt of a chain."""
    made = (one.policy for one in chain.attempts if one.name == str(job.name))
    return next(made, "")


def outcome_keys_of(job: Job, policy: str) -> tuple[str, ...]:
    """Where the ends of such attempts are kept: for the policy's breaker, and for similar jobs.

    Those twice, by the job's own account and for all, since a policy file may let accounts learn from
    one another.
    """
    found = (alike(job), alike(job, account=EVERY_ACCOUNT))
    memories = tuple(key for key in found if key)
    return (breaker_track(policy, job), *memories) if policy else memories


def write_manifest(chain: Chain, current: Job, rows: RowsOfBatches) -> None:
    """Where the results of a resumed batch lie, part by part, beside the newest of them.

    Written when the job is made and again when it ends. A manifest that cannot be written is told in the
    log: outcomes and `follow` name the same parts.
    """
    parts = parts_of(chain, current)
    uri = manifest_of(current)
    if len(parts) < _SEVERAL or not uri:
        return
    body = {"root": chain.root, "parts": [part.to_json() for part in parts]}
    try:
        rows.write_manifest(uri, body)
    except RemediatorError as err:
        log.say(
            "WARNING",
            LogEvent.MANIFEST_NOT_WRITTEN,
            f"the manifest was not written: {err}",
            job=str(current.name),
            uri=uri,
        )


_SEVERAL = 2


def _parts_words(parts: Sequence[Part]) -> tuple[str, ...]:
    """Where to read all of a resumed batch's results; empty where there is one place."""
    if len(parts) < _SEVERAL:
        return ()
    listed = "; ".join(f"{part.output} ({part.rows:,} rows)" for part in parts)
    return (f"The results are in {len(parts)} parts, all of which are to be read: {listed}.",)


def close_chain(
    job: Job,
    incident: Incident,
    config: Configuration,
    records: Records,
    now: datetime,
    ending: Ending,
) -> str:
    """An attempt of ours ended well, or a person ended it: the chain is over."""
    kind, conclusion = ending
    chain = records.ledger.chain(incident.root) or Chain(key=incident.root, root=incident.job)
    chain = settle_attempt(job, chain, records.ledger, config.catalog, final=True)
    write_manifest(chain, job, records.rows)
    last = chain.attempts[-1] if chain.attempts else None
    lost = chain.first_failed
    facts = replace(
        job_facts(kind, job, incident, chain),
        spent_usd=chain.spent_usd,
        estimated_usd=sum(a.estimated_usd or 0.0 for a in chain.attempts) or None,
        time_lost_seconds=((job.end_time or now) - lost).total_seconds() if lost else None,
        output=summary.output_of(job) or "" if kind is AlertKind.RECOVERED else "",
        cancelled_why=incident.reason if job.state is JobState.CANCELLED else "",
        extra=_parts_words(parts_of(chain, job)),
    )
    channels = alert_routing.channels_of(config.policies(), last.policy if last else "", job)
    verdict = last.verdict if last else ""
    change = ChainChange(chain, job, verdict, Action.ALERT, is_final=True)
    done = replace(incident, stage=Stage.DONE, conclusion=conclusion, ended=job.end_time)
    records.publish_move(done, facts, channels, now, change=change)
    return f"{conclusion}: attempt {incident.attempt} is {job.state}"
