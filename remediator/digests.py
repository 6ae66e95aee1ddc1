"""The digest of each channel that asked for one, owed once for each period.

Owns which failures a digest tells of: those whose alerts the channel was owed. A digest's debt bears
the channel and the period, and a note says up to which period they are made, so that a restart or a
second hand makes none twice. Called by `reconcile`; delivered like any alert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from remediator import log
from remediator.alerts import AlertFacts, AlertKind, DeliveryRules, rules_of
from remediator.domain import RemediatorError, rfc3339
from remediator.hands import Hands
from remediator.ledger import Incident
from remediator.notices import digest_note
from remediator.report.digest import digest_lines, digest_title
from remediator.report.history import Outcome, Story, stories

_MOST_HELD = 5000
"""Chosen: alerts that wait for a digest and are looked at for it; a day has some hundreds."""


def owe_digests(hands: Hands) -> None:
    """Owe the digest of each channel whose last period is over and has none yet.

    A period without failures has no digest. A ledger that does not answer puts it off.
    """
    try:
        for name, spec in hands.policies().channels.items():
            rules = rules_of(spec)
            if rules.digest is not None and not rules.only_needs_person:
                _owe_digest(name, rules, hands)
    except RemediatorError as err:
        log.say("WARNING", f"the digest is made in the next round: {err}")


def _owe_digest(channel: str, rules: DeliveryRules, hands: Hands) -> None:
    now = hands.now()
    begin, end = rules.last_digest(now)
    made = hands.notices.digests_until(channel)
    if made is not None and made >= end:
        return
    period = rules.period_of(end)
    told = _stories(channel, begin, end, hands)
    if told:
        word = str(rules.digest)
        facts = AlertFacts(
            kind=AlertKind.DIGEST,
            display_name=digest_title(word, period, told),
            root=f"digest/{word}/{period}",
            count=sum(story.outcome is Outcome.WAITING for story in told),
            extra=digest_lines(told),
        )
        hands.ledger.owe(hands.notices.owed(facts, (channel,), now))
    hands.ledger.write_note(digest_note(channel), {"until": rfc3339(end)})


def _stories(channel: str, begin: datetime, end: datetime, hands: Hands) -> tuple[Story, ...]:
    """The chains that became known in the period, or of which an alert waits for this digest."""
    held = {
        str(debt.body.get("thread_key"))
        for debt in hands.ledger.debts_due(hands.now(), _MOST_HELD)
        if debt.channel == channel and debt.created < end
    }
    by_root: dict[str, list[Incident]] = defaultdict(list)
    for incident in hands.ledger.incidents():
        by_root[incident.root or incident.key].append(incident)
    wanted = [
        incident
        for root, found in by_root.items()
        if root in held or _is_told(found, channel, begin, end)
        for incident in found
    ]
    return stories(wanted, hands.ledger.chains(), now=hands.now()) if wanted else ()


def _is_told(chain: Iterable[Incident], channel: str, begin: datetime, end: datetime) -> bool:
    return any(channel in one.channels and begin <= one.first_known < end for one in chain)
