"""The `channels` of a policy file: one model for each service that alerts can go to.

Owns their keys and that secrets are named, never written. What a message looks like there, and how it
is sent, is the alerts' business. Put in place by `model`.
"""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from remediator.policy.steps import PolicyPart
from remediator.policy.suggestions import wrong
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


class Slack(PolicyPart):
    """A Slack channel: by incoming webhook, or by a bot (whose messages can be kept current)."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["webhook"]}, {"required": ["token", "channel"]}]}
    )

    webhook: Secret | None = Field(
        default=None, description="Where the incoming webhook's URL is kept."
    )
    token: Secret | None = Field(default=None, description="Where the bot's token is kept.")
    channel: SlackChannel | None = Field(default=None, description="The channel a bot writes to.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.webhook is None) == (self.token is None):
            msg = "`slack` needs either `webhook`, or `token` and `channel`"
            raise wrong(msg)
        if (self.token is None) != (self.channel is None):
            msg = "`token` and `channel` belong together (a webhook knows its own channel)"
            raise wrong(msg)
        return self


class Email(PolicyPart):
    """Mail by SMTP."""

    smtp: Secret = Field(description="Where the server's URL (smtp:// or smtps://) is kept.")
    sender: Address = Field(alias="from", description="The sender's address.")
    to: Addresses = Field(description="One address or several.")


class Webhook(PolicyPart):
    """A program of yours, by a POST of JSON that is signed with a secret you share."""

    url: Secret = Field(description="Where the receiver's URL is kept.")
    secret: Secret = Field(description="Where the secret that signs each body is kept.")


class Teams(PolicyPart):
    """A Microsoft Teams channel or chat, by a workflow's webhook."""

    webhook: Secret = Field(description="Where the workflow's URL is kept.")


class PagerDuty(PolicyPart):
    """A PagerDuty service: an incident for what needs a person, resolved when its chain recovers."""

    routing_key: Secret = Field(
        description="Where the integration key (Events API v2) of the service is kept."
    )
    region: PagerDutyRegion = Field(
        default="us", description="The account's service region: `us` or `eu`."
    )


class GoogleChat(PolicyPart):
    """A Google Chat space, by its incoming webhook."""

    webhook: Secret = Field(description="Where the webhook's URL is kept.")


class QuietHoursConfig(PolicyPart):
    """Hours of every day in which only what needs a person is sent; the rest follows as one message."""

    begin: TimeOfDay = Field(alias="from", description="When they begin, in local time.")
    end: TimeOfDay = Field(
        alias="to", description="When they end; the next day where that is earlier."
    )
    zone: Zone = Field(default="UTC", description="The time zone, such as Europe/Berlin.")

    @model_validator(mode="after")
    def _some_hours(self) -> Self:
        if self.begin == self.end:
            msg = "`from` and `to` are the same, which could mean no time or the whole day"
            raise wrong(msg)
        return self


_CHANNEL_KINDS = ("slack", "email", "webhook", "teams", "pagerduty", "google_chat")


class ChannelConfig(PolicyPart):
    """Where alerts go: one service, and when."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [kind]} for kind in _CHANNEL_KINDS]}
    )

    slack: Slack | None = Field(default=None, description="A Slack channel.")
    email: Email | None = Field(default=None, description="Addresses, by mail.")
    webhook: Webhook | None = Field(default=None, description="A program, by signed JSON.")
    teams: Teams | None = Field(default=None, description="A Microsoft Teams channel or chat.")
    pagerduty: PagerDuty | None = Field(default=None, description="A PagerDuty service.")
    google_chat: GoogleChat | None = Field(default=None, description="A Google Chat space.")
    quiet_hours: QuietHoursConfig | None = Field(
        default=None, description="When only what needs a person is sent."
    )
    digest: DigestWord | None = Field(
        default=None,
        description="A summary every day, or every Monday, in place of what needs no person.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in _CHANNEL_KINDS) != 1:
            named = ", ".join(f"`{kind}`" for kind in _CHANNEL_KINDS)
            msg = f"a channel needs exactly one of {named}"
            raise wrong(msg)
        return self
