"""What a channel is: it sends an alert, keeps one current where it can, and says what would keep it from it.

Each service is one, in a module of its own; `channels` opens them. Errors: TransientError (try again, with
the service's own Retry-After where it sent one) and PermanentError (will never work as it is configured). Must
not decide what is said or when to try again: `compose` and `outbox` do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from remediator.alerts.grouping import GroupLimits
from remediator.alerts.message import Message


class Sent(Struct, frozen=True):
    """A delivered alert. `thread` is what the chain's next alert on this channel must be given.

    `not_reached`: recipients that the mail server refused while it took the others.
    """

    thread: str = ""
    not_reached: tuple[str, ...] = ()


class Channel(Protocol):
    """Where alerts go. `keeps_current`: one message a chain is updated, and replies tell more.

    `group_limits` is how much one message in place of many may hold.
    """

    keeps_current: bool
    group_limits: GroupLimits

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        """Delivers once or raises TransientError or PermanentError; `thread` as the chain's last Sent said."""
        ...

    def update(self, message: Message, *, thread: str) -> None:
        """Where it keeps current: the chain's first message says this too; nothing new is sent."""
        ...

    def check(self) -> None:
        """Raises TransientError or PermanentError where nothing could be delivered; sends nothing."""
        ...
