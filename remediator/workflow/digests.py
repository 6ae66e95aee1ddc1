"""The digest of each channel that asked for one, enqueued once for each period.

Owns which failures a digest tells of: those whose alerts were put into the outbox for the channel. A
digest's own message there bears the channel and the period, and a note says up to which period they
are made, so that a restart or a second execution makes none twice. Called by `reconcile`; delivered
like any alert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from remediator import log
from remediator.alerts import AlertFacts, AlertKind, DeliveryRules, rules_of
from remediator.alerts.delivery import digest_note, digests_until
from remediator.domain import RemediatorError, rfc3339
from remediator.ledger import Incident, Ledger
from remediator.log import LogEvent
from remediator.report.digest import digest_lines, digest_title
from remediator.report.history import Story, StoryOutcome, stories
from remediator.workflow.services import Clock, Configuration, Records

_MOST_HELD = 5000
"""Chosen: alerts that wait for a digest and are looked at for it; a day has some hundreds."""


def enqueue_digests(config: Configuration, records: Records, clock: Clock) -> None:
    """Enqueue the digest of each channel whose last period is over and has none yet.

    A period without failures has no digest. A ledger that does not answer puts it off.
    """
    try:
        for name, spec in config.policies().channels.items():
            rules = rules_of(spec)
            if rules.digest is not None and not rules.only_needs_person:
                _enqueue_digest(name, rules, records, clock)
    except RemediatorError as err:
        log.say(
            "WARNING", LogEvent.DIGEST_POSTPONED, f"the digest is made in the next round: {err}"
        )


def _enqueue_digest(channel: str, rules: DeliveryRules, records: Records, clock: Clock) -> None:
    now = clock()
    begin, end = rules.last_digest(now)
    made = digests_until(records.ledger, channel)
    if made is not None and made >= end:
        return
    period = rules.period_of(end)
    all_stories = _stories(channel, begin, end, records.ledger, clock)
    if all_stories:
        word = str(rules.digest)
        facts = AlertFacts(
            kind=AlertKind.DIGEST,
            display_name=digest_title(word, period, all_stories),
            root=f"digest/{word}/{period}",
            count=sum(story.outcome is StoryOutcome.WAITING for story in all_stories),
            extra=digest_lines(all_stories),
        )
        records.outbox.enqueue(facts, (channel,), now)
    records.ledger.write_note(digest_note(channel), {"until": rfc3339(end)})


def _stories(
    channel: str, begin: datetime, end: datetime, ledger: Ledger, clock: Clock
) -> tuple[Story, ...]:
    """The chains that became known in the period, or of which an alert waits for this digest."""
    held = {
        str(outbox_message.body.get("thread_key"))
        for outbox_message in ledger.messages_due(clock(), _MOST_HELD)
        if outbox_message.channel == channel and outbox_message.created < end
    }
    by_root: dict[str, list[Incident]] = defaultdict(list)
    for incident in ledger.incidents():
        by_root[incident.root or incident.key].append(incident)
    wanted = [
        incident
        for root, found in by_root.items()
        if root in held or _is_of_period(found, channel, begin, end)
        for incident in found
    ]
    return stories(wanted, ledger.chains(), now=clock()) if wanted else ()


def _is_of_period(chain: Iterable[Incident], channel: str, begin: datetime, end: datetime) -> bool:
    return any(channel in one.channels and begin <= one.first_known < end for one in chain)
