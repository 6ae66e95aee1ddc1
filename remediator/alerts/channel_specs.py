"""What the alerts ask of a channel in the policy file: references to secrets, never their values.

The policy room's models fit these; neither room imports the other.
"""

from __future__ import annotations

from datetime import time
from typing import Protocol


class SlackSpec(Protocol):
    """The policy file's `slack`: references to secrets, not their values."""

    @property
    def webhook(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...
    @property
    def channel(self) -> str | None: ...


class EmailSpec(Protocol):
    """The policy file's `email`."""

    @property
    def smtp(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def to(self) -> tuple[str, ...]: ...


class WebhookSpec(Protocol):
    """The policy file's `webhook`."""

    @property
    def url(self) -> str: ...
    @property
    def secret(self) -> str: ...


class TeamsSpec(Protocol):
    """The policy file's `teams`."""

    @property
    def webhook(self) -> str: ...


class PagerDutySpec(Protocol):
    """The policy file's `pagerduty`."""

    @property
    def routing_key(self) -> str: ...
    @property
    def region(self) -> str: ...


class GoogleChatSpec(Protocol):
    """The policy file's `google_chat`."""

    @property
    def webhook(self) -> str: ...


class QuietHoursSpec(Protocol):
    """The policy file's `quiet_hours`."""

    @property
    def begin(self) -> time: ...
    @property
    def end(self) -> time: ...
    @property
    def zone(self) -> str: ...


class ChannelSpec(Protocol):
    """A channel of the policy file: one of these is there."""

    @property
    def slack(self) -> SlackSpec | None: ...
    @property
    def email(self) -> EmailSpec | None: ...
    @property
    def webhook(self) -> WebhookSpec | None: ...
    @property
    def teams(self) -> TeamsSpec | None: ...
    @property
    def pagerduty(self) -> PagerDutySpec | None: ...
    @property
    def google_chat(self) -> GoogleChatSpec | None: ...
    @property
    def quiet_hours(self) -> QuietHoursSpec | None: ...
    @property
    def digest(self) -> str | None: ...
