"""The channels of the policy file in force, by name: opened, checked, and when each takes alerts.

Owns that an owner's address is carried by a channel of the file, to that address alone. What a channel
is, is `channels`'; when one takes what, `schedule`'s. Opened by `app`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from remediator.alerts.channel import Channel
from remediator.alerts.channels import open_channel
from remediator.alerts.schedule import DeliveryRules, rules_of
from remediator.domain import PermanentError

if TYPE_CHECKING:
    from remediator.policy import Policies


class PolicyChannels(Struct, frozen=True):
    """`secret` gives the value behind a reference, `project_id` whose jobs these are; asked late."""

    policies: Callable[[], Policies]
    secret: Callable[[str], str]
    project_id: Callable[[], str]

    def open(self, name: str) -> Channel:
        """The channel of this name, or an owner's; PermanentError where the file has none such."""
        policies = self.policies()
        carrier = policies.carrier_of(name)
        spec = policies.channels.get(carrier)
        if spec is None:
            msg = f"the policy file no longer has the channel {carrier}"
            raise PermanentError(msg)
        return open_channel(
            carrier,
            spec,
            self.secret,
            hosts=policies.channel_hosts,
            buttons=policies.approvers is not None,
            to=(name,) if carrier != name else (),
            project=self.project_id() if spec.pagerduty is not None else "",
        )

    def check(self, name: str) -> None:
        """Raises where the channel cannot be reached; sends nothing."""
        self.open(name).check()

    def rules_of(self, name: str) -> DeliveryRules:
        """When the channel of this name takes alerts; any time where the file has none such."""
        policies = self.policies()
        carrier = policies.carrier_of(name)
        spec = policies.channels.get(carrier)
        if spec is None:
            return DeliveryRules()
        rules = rules_of(spec)
        # A digest is a channel's; to an owner's address, which it only carries, alerts go singly.
        return rules if carrier == name else replace(rules, digest=None)
