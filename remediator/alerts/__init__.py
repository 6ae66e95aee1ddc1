"""Alerts: what is said (`compose`, pure), how it looks (`render`, pure), how it is sent
(`channels`); a click on a button comes back through `approval`.

The workflow and the delivery room see `compose`, `Message` and the Channel protocol; opening a channel
and reading a click are the composition root's and the front door's.
"""

from remediator.alerts.channel import Channel, Sent
from remediator.alerts.channels import open_channel
from remediator.alerts.compose import compose
from remediator.alerts.facts import AlertFacts
from remediator.alerts.grouping import split
from remediator.alerts.links import console_url, entry_links
from remediator.alerts.message import AlertKind, Message, Severity, as_text
from remediator.alerts.schedule import DeliveryRules, Turn, rules_of

__all__ = [
    "AlertFacts",
    "AlertKind",
    "Channel",
    "DeliveryRules",
    "Message",
    "Sent",
    "Severity",
    "Turn",
    "as_text",
    "compose",
    "console_url",
    "entry_links",
    "open_channel",
    "rules_of",
    "split",
]
