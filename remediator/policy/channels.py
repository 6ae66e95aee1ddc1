"""The `channels` of a policy file: one model for each service that alerts can go to.

Owns their keys and that secrets are named, never written. What a message looks like there, and how it
is sent, is the alerts' business. Put in place by `model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from remediator.policy.policy_part import PolicyPart

if TYPE_CHECKING:
    from pydantic import Field

    from remediator.policy.values import (
        Address,
        Addresses,
        DigestWord,
        PagerDutyRegion,
        Secret,
        SlackChannel,
        TimeOfDay,
        Zone,
    )


class Slack(PolicyPart, frozen=True):
    """A Slack channel: by incoming webhook, or by a bot (whose messages can be kept current)."""

    schema_extra: ClassVar[Mapping[str, Any]] = {
        "oneOf": [{"required": ["webhook"]}, {"required": ["token", "channel"]}]
    }

    webhook: Annotated[
        Secret | None, Field(description="Where the incoming webhook's URL is kept.")
    ] = None
    token: Annotated[Secret | None, Field(description="Where the bot's token is kept.")] = None
    channel: Annotated[SlackChannel | None, Field(description="The channel a bot writes to.")] = (
        None
    )

    def mistake(self) -> str:
        if (self.webhook is None) == (self.token is None):
            return "`slack` needs either `webhook`, or `token` and `channel`"
        if (self.token is None) != (self.channel is None):
            return "`token` and `channel` belong together (a webhook knows its own channel)"
        return ""


class Email(PolicyPart, frozen=True):
    """Mail by SMTP."""

    smtp: Annotated[
        Secret, Field(description="Where the server's URL (smtp:// or smtps://) is kept.")
    ]
    sender: Annotated[Address, Field(alias="from", description="The sender's address.")]
    to: Annotated[Addresses, Field(description="One address or several.")]


class Webhook(PolicyPart, frozen=True):
    """A program of yours, by a POST of JSON that is signed with a secret you share."""

    url: Annotated[Secret, Field(description="Where the receiver's URL is kept.")]
    secret: Annotated[Secret, Field(description="Where the secret that signs each body is kept.")]


class Teams(PolicyPart, frozen=True):
    """A Microsoft Teams channel or chat, by a workflow's webhook."""

    webhook: Annotated[Secret, Field(description="Where the workflow's URL is kept.")]


class PagerDuty(PolicyPart, frozen=True):
    """A PagerDuty service: an incident for what needs a person, resolved when its chain recovers."""

    routing_key: Annotated[
        Secret,
        Field(description="Where the integration key (Events API v2) of the service is kept."),
    ]
    region: Annotated[
        PagerDutyRegion, Field(description="The account's service region: `us` or `eu`.")
    ] = "us"


class GoogleChat(PolicyPart, frozen=True):
    """A Google Chat space, by its incoming webhook."""

    webhook: Annotated[Secret, Field(description="Where the webhook's URL is kept.")]


class QuietHoursConfig(PolicyPart, frozen=True):
    """Hours of every day in which only what needs a person is sent; the rest follows as one message."""

    begin: Annotated[TimeOfDay, Field(alias="from", description="When they begin, in local time.")]
    end: Annotated[
        TimeOfDay,
        Field(alias="to", description="When they end; the next day where that is earlier."),
    ]
    zone: Annotated[Zone, Field(description="The time zone, such as Europe/Berlin.")] = "UTC"

    def mistake(self) -> str:
        same = "`from` and `to` are the same, which could mean no time or the whole day"
        return same if self.begin == self.end else ""


_CHANNEL_KINDS = ("slack", "email", "webhook", "teams", "pagerduty", "google_chat")


class ChannelConfig(PolicyPart, frozen=True):
    """Where alerts go: one service, and when."""

    schema_extra: ClassVar[Mapping[str, Any]] = {
        "oneOf": [{"required": [kind]} for kind in _CHANNEL_KINDS]
    }

    slack: Annotated[Slack | None, Field(description="A Slack channel.")] = None
    email: Annotated[Email | None, Field(description="Addresses, by mail.")] = None
    webhook: Annotated[Webhook | None, Field(description="A program, by signed JSON.")] = None
    teams: Annotated[Teams | None, Field(description="A Microsoft Teams channel or chat.")] = None
    pagerduty: Annotated[PagerDuty | None, Field(description="A PagerDuty service.")] = None
    google_chat: Annotated[GoogleChat | None, Field(description="A Google Chat space.")] = None
    quiet_hours: Annotated[
        QuietHoursConfig | None, Field(description="When only what needs a person is sent.")
    ] = None
    digest: Annotated[
        DigestWord | None,
        Field(
            description="A summary every day, or every Monday, in place of what needs no person."
        ),
    ] = None

    def mistake(self) -> str:
        if sum(getattr(self, kind) is not None for kind in _CHANNEL_KINDS) == 1:
            return ""
        return f"a channel needs exactly one of {', '.join(f'`{kind}`' for kind in _CHANNEL_KINDS)}"
