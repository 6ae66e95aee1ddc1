"""How an incident ends without a change, and how a chain does; what is owed goes with it.

Owns the conclusions and their debts, each in one transaction of the ledger. Called by `remediate`
and `resubmit`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.domain import Action, Forbidden, Guard, JobState, Part, RemediatorError, rfc3339
from remediator.hands import Hands, Tale
from remediator.job import Job, summary
from remediator.job.batch import MANIFEST, data_of
from remediator.job.likeness import EVERY_ACCOUNT, alike, breaker_track
from remediator.ledger import Chain, Conclusion, Debt, Incident, Stage, Unreadable
from remediator.notices import parts_of
from remediator.policy import costs, routes, sizing


def tell(tale: Tale, hands: Hands, now: datetime, kind: AlertKind, conclusion: Conclusion) -> str:
    """Conclude without a change: the alert is owed with the conclusion, in one transaction."""
    done = replace(tale.incident, stage=Stage.DONE, conclusion=conclusion)
    write_manifest(tale.chain, tale.job, hands)
    facts = replace(tale.facts(kind, now=now), grant=_grant(tale, hands))
    debts = hands.notices.owed_with_outcome(
        tale.plan.alerts,
        tale.chain,
        tale.job,
        now,
        verdict=tale.incident.verdict,
        action=tale.plan.action,
        final=True,
        facts=facts,
    )
    if not hands.ledger.move(done, debts=debts):
        return "already handled by another hand"
    hands.notices.deliver(debts)
    return f"{conclusion}: {tale.diagnosis.verdict}"


def wait(tale: Tale, hands: Hands, now: datetime) -> str:
    """No end yet: the incident comes up again when the plan says, and people are told so."""
    waiting = replace(
        tale.incident,
        stage=Stage.WAITING,
        due=tale.plan.not_before,
        not_before=tale.plan.not_before,
    )
    facts = tale.facts(AlertKind.WAITING, now=now)
    until = tale.plan.not_before
    debts = hands.notices.owed_with_outcome(
        tale.plan.alerts,
        tale.chain,
        tale.job,
        now,
        verdict=tale.incident.verdict,
        action=Action.WAIT,
        final=False,
        facts=facts,
        waits_for=rfc3339(until) if until else None,
    )
    if hands.ledger.move(waiting, debts=debts):
        hands.notices.deliver(debts)
    return f"waiting until {tale.plan.not_before}"


_ACT_AS = "iam.serviceAccounts.actAs"
_EMAIL = re.compile(r"[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com")


def _grant(tale: Tale, hands: Hands) -> str:
    """The command that lets us act as the job's account; empty unless it is that which was refused.

    Only for what looks like an account, since the command is there to be pasted into a shell.
    """
    refused = _ACT_AS in tale.plan.because
    if not refused and Guard.SERVICE_ACCOUNT not in tale.plan.refused_by:
        return ""
    account = tale.job.service_account or ""
    if not account and refused:  # such as the default one of a pipeline run, which Google names
        named = _EMAIL.search(tale.plan.because)
        account = named[0] if named else ""
    own = hands.own_account()
    if not _EMAIL.fullmatch(account) or not _EMAIL.fullmatch(own):
        return ""
    return (
        f"gcloud iam service-accounts add-iam-policy-binding {account} "
        f"--member=serviceAccount:{own} --role=roles/iam.serviceAccountUser"
    )


def tell_forbidden(err: Forbidden, hands: Hands) -> None:
    """We may not do what we must: every channel hears of it once a day for each permission.

    No job of the alert's is named: whichever was met first, all of them wait for the same grant.
    """
    now = hands.now()
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
    debts = hands.notices.owed(facts, routes.all_channels(hands.policies()), now)
    hands.ledger.owe(debts)
    hands.notices.deliver(debts)


def tell_unreadable(err: Unreadable, hands: Hands, *, set_aside: bool = False) -> tuple[Debt, ...]:
    """What is owed for a document that cannot be read: every channel hears of each once."""
    facts = AlertFacts(
        kind=AlertKind.LEDGER_DAMAGED,
        display_name=f"{err.collection}:{err.key}",
        root=f"ledger/{err.collection}/{err.key}",
        extra=(f"{str(err)[:1].upper()}{str(err)[1:]}.", *((_SET_ASIDE,) * set_aside)),
    )
    return hands.notices.owed(facts, routes.all_channels(hands.policies()), hands.now())


_SET_ASIDE = "It was set aside; what stood in it is kept under `damaged:`."
_UNTIL_GRANTED = (
    "Until it is granted, failures wait: they are tried again for a day, then told or kept as "
    "dead letters."
)
_PERMISSION = re.compile(r"[Pp]ermission '?([a-z]+\.[A-Za-z]+\.[A-Za-z]+)")
_DIGITS = re.compile(r"\S*\d\S*")  # names and numbers of jobs, which differ each time

# --- ends ----------------------------------------------------------------------------------------


def finish(incident: Incident, hands: Hands, conclusion: Conclusion, reason: str) -> None:
    hands.ledger.move(replace(incident, stage=Stage.DONE, conclusion=conclusion, reason=reason))


def settle(job: Job, chain: Chain, hands: Hands, *, final: bool) -> Chain:
    usd = costs.spent_usd(job, hands.catalogue)
    return hands.ledger.settle(
        chain.key,
        job.name.key,
        state=job.state,
        ended=job.end_time,
        usd=usd,
        usd_by_day=costs.usd_by_day(usd, job.start_time, job.end_time)
        if usd is not None and job.end_time is not None
        else None,
        final=final,
        tracks=() if _says_nothing(job) else tracks_of(job, policy_of(chain, job)),
        size=sizing.size_of(job),
        seconds=job.run_seconds,
    )


def _says_nothing(job: Job) -> bool:
    """Whether its end says nothing of its policy or its size: somebody ended it, or it never began."""
    return job.state is JobState.CANCELLED or costs.got_no_machine(job)


def policy_of(chain: Chain, job: Job) -> str:
    """The policy that made this attempt of a chain."""
    made = (one.policy for one in chain.attempts if one.name == str(job.name))
    return next(made, "")


def tracks_of(job: Job, policy: str) -> tuple[str, ...]:
    """Where the ends of such attempts are kept: for the policy's breaker, and for similar jobs.

    Those twice, by the job's own account and for all, since a policy file may let accounts learn from
    one another.
    """
    found = (alike(job), alike(job, account=EVERY_ACCOUNT))
    memories = tuple(key for key in found if key)
    return (breaker_track(policy, job), *memories) if policy else memories


def write_manifest(chain: Chain, current: Job, hands: Hands) -> None:
    """Where the results of a resumed batch lie, part by part, beside the newest of them.

    Written when the job is made and again when it ends. A manifest that cannot be written is told in the
    log: outcomes and `follow` name the same parts.
    """
    parts = parts_of(chain, current)
    place = data_of(current).output_prefix
    if len(parts) < _SEVERAL or not place:
        return
    uri = f"{place.rstrip('/')}/{MANIFEST}"
    body = {"root": chain.root, "parts": [part.to_json() for part in parts]}
    try:
        hands.rows.write_manifest(uri, body)
    except RemediatorError as err:
        log.say("WARNING", f"the manifest was not written: {err}", job=str(current.name), uri=uri)


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
    hands: Hands,
    now: datetime,
    kind: AlertKind,
    conclusion: Conclusion,
) -> str:
    """An attempt of ours ended well, or a person ended it: the chain is over."""
    chain = hands.ledger.chain(incident.root) or Chain(key=incident.root, root=incident.job)
    chain = settle(job, chain, hands, final=True)
    write_manifest(chain, job, hands)
    last = chain.attempts[-1] if chain.attempts else None
    lost = chain.first_failed
    facts = AlertFacts(
        kind=kind,
        job=job.name,
        display_name=job.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=job.state,
        machine=summary.machine_words(job),
        owner=summary.owner_of(job),
        account=job.service_account or "",
        started=job.start_time,
        ended=job.end_time,
        attempts=chain.attempts,
        spent_usd=chain.spent_usd,
        estimated_usd=sum(a.estimated_usd or 0.0 for a in chain.attempts) or None,
        time_lost_seconds=((job.end_time or now) - lost).total_seconds() if lost else None,
        output=summary.output_of(job) or "" if kind is AlertKind.RECOVERED else "",
        extra=(
            *(
                (f"The remediator cancelled it: {incident.reason}.",)
                if incident.reason and job.state is JobState.CANCELLED
                else ()
            ),
            *_parts_words(parts_of(chain, job)),
        ),
    )
    channels = routes.channels_of(hands.policies(), last.policy if last else "", job)
    debts = hands.notices.owed_with_outcome(
        channels,
        chain,
        job,
        now,
        verdict=last.verdict if last else "",
        action=Action.ALERT,
        final=True,
        facts=facts,
    )
    done = replace(incident, stage=Stage.DONE, conclusion=conclusion, ended=job.end_time)
    if hands.ledger.move(done, debts=debts):
        hands.notices.deliver(debts)
    return f"{conclusion}: attempt {incident.attempt} is {job.state}"
