"""When a channel takes what: quiet hours, the digest's times, and what a pager is for. Pure.

Owns the decision for one alert of the outbox, from what the policy file says of its channel and the
moment. Must not send or keep anything: the delivery does, and the digest itself is made by `digests`.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

from remediator.alerts.channel_specs import ChannelSpec
from remediator.alerts.message import SUMMARIES, AlertKind, Message, Severity
from remediator.domain import Json

_MORNING = time(7, 0)
"""Chosen: when a digest is made where no quiet hours say when the day begins."""
_DIGEST_GRACE = timedelta(days=1)
"""Chosen: a digest that is not made by then is not waited for; its alerts are sent singly."""
_MONDAY = 0


class Digest(StrEnum):
    """How often a channel gets a summary in place of what needs no person."""

    DAILY = "daily"
    WEEKLY = "weekly"


class QuietHours(Struct, frozen=True):
    """Hours of every day, in local time of `zone`, that only what needs a person may disturb."""

    begin: time
    end: time
    zone: str = "UTC"

    def contains(self, moment: datetime) -> bool:
        """Whether the moment lies in them; they may pass midnight."""
        local = moment.astimezone(ZoneInfo(self.zone)).time()
        if self.begin < self.end:
            return self.begin <= local < self.end
        return local >= self.begin or local < self.end

    def end_after(self, moment: datetime) -> datetime:
        """The first end of the hours after the moment, in UTC."""
        return _next_time(moment, self.end, self.zone)


class Turn(StrEnum):
    """What happens to an alert now."""

    SEND = "send"
    SEND_GROUPED = "send grouped"
    HOLD = "hold"
    DROP = "drop"


class Decision(Struct, frozen=True):
    """`until` is set where it is held: it is asked about again then. `why` says for what."""

    turn: Turn
    until: datetime | None = None
    why: str = ""


class DeliveryRules(Struct, frozen=True):
    """What the policy file says of when a channel takes alerts; by default, whenever they fall due.

    `only_needs_person`: a pager, which takes what needs a person, and the recovery that ends it.
    """

    quiet_hours: QuietHours | None = None
    digest: Digest | None = None
    only_needs_person: bool = False

    def decide(
        self, body: Json, created: datetime, now: datetime, digests_until: datetime | None
    ) -> Decision:
        """What happens now to an alert as it is stored.

        `digests_until` is the end of the last period whose digest was made for the channel; None
        where there was none.
        """
        kind = str(body.get("kind"))
        if body.get("severity") != Severity.QUIET.value:
            return Decision(Turn.SEND)
        if self.only_needs_person:
            ends = kind == AlertKind.RECOVERED.value
            return Decision(Turn.SEND) if ends else Decision(Turn.DROP, why="it needs nobody")
        if self.digest is not None and kind not in _SUMMARY_KINDS:
            due = self.digest_after(created)
            if now < due:
                return Decision(Turn.HOLD, due, "it waits for the digest")
            if digests_until is not None and digests_until >= due:
                return Decision(Turn.DROP, why="the digest told it")
            if now < due + _DIGEST_GRACE:
                return Decision(Turn.HOLD, now, "it waits for the digest")
        hours = self.quiet_hours
        if hours is not None and hours.contains(now):
            return Decision(Turn.HOLD, hours.end_after(now), "quiet hours")
        held = hours is not None and hours.contains(created)
        return Decision(Turn.SEND_GROUPED if held else Turn.SEND)

    def held_words(self, channel: str, message: Message) -> str:
        """What keeps this alert from going to the channel singly and at once; empty where nothing can."""
        if message.severity is not Severity.QUIET:
            return ""
        since = "since it needs nobody"
        if self.only_needs_person:
            if message.kind is AlertKind.RECOVERED:
                return ""
            return f"{channel} is a pager: this alert is not sent there, {since}"
        if self.digest is not None and message.kind not in SUMMARIES:
            return f"{channel} gets a {self.digest} digest: this alert is told in it, {since}"
        hours = self.quiet_hours
        if hours is None:
            return ""
        return (
            f"{channel} has quiet hours from {hours.begin:%H:%M} to {hours.end:%H:%M} ({hours.zone}): "
            f"in them this alert is held until they end, {since}"
        )

    def digest_after(self, moment: datetime) -> datetime:
        """When the first digest after the moment is made, in UTC."""
        found = _next_time(moment, *self._morning)
        while self.digest is Digest.WEEKLY and self._local(found).weekday() != _MONDAY:
            found = _next_time(found, *self._morning)
        return found

    def last_digest(self, now: datetime) -> tuple[datetime, datetime]:
        """Beginning and end of the last period that is over, in UTC."""
        days = 7 if self.digest is Digest.WEEKLY else 1
        begin = self.digest_after(now - timedelta(days=2 * days + 1))
        end = self.digest_after(begin)
        while (following := self.digest_after(end)) <= now:
            begin, end = end, following
        return begin, end

    def period_of(self, end: datetime) -> str:
        """A period's name: the local date of its end, which sorts as the periods follow each other."""
        return self._local(end).date().isoformat()

    @property
    def _morning(self) -> tuple[time, str]:
        hours = self.quiet_hours
        return (hours.end, hours.zone) if hours is not None else (_MORNING, "UTC")

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self._morning[1]))


def rules_of(spec: ChannelSpec) -> DeliveryRules:
    """The rules of a channel of the policy file."""
    hours = spec.quiet_hours
    return DeliveryRules(
        quiet_hours=QuietHours(hours.begin, hours.end, hours.zone) if hours is not None else None,
        digest=Digest(spec.digest) if spec.digest is not None else None,
        only_needs_person=spec.pagerduty is not None,
    )


_SUMMARY_KINDS = frozenset(kind.value for kind in SUMMARIES)


def _next_time(moment: datetime, at: time, zone: str) -> datetime:
    """The first moment after this one at which clocks in the zone show `at`, in UTC."""
    local = ZoneInfo(zone)
    day = moment.astimezone(local).date()
    while True:
        found = datetime.combine(day, at, tzinfo=local).astimezone(UTC)
        if found > moment:
            return found
        day += timedelta(days=1)
