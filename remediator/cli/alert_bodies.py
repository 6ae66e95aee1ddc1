"""What `alert preview` can print: the HTML part of the mail, and the body of the request to each service.

Owns the table of them, from which the command's flags are made, and which renderer belongs to which. Called
by `commands` and `project`; a renderer is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediator.alerts import Message

HTML = "html"
BODIES: Mapping[str, str] = {
    HTML: "the HTML part of the mail",
    "slack": "what Slack gets, as JSON",
    "teams": "what Teams gets, as JSON",
    "google_chat": "what Google Chat gets, as JSON",
    "pagerduty": "what PagerDuty gets, as JSON",
    "webhook": "what a webhook gets, as JSON",
}
"""By the name of the channel's key in the policy file; `html` for the mail's."""


def flag(body: str) -> str:
    return f"--{body.replace('_', '-')}"


def service_body(message: Message, service: str) -> Any:
    """The body of the request to a service; None where it gets none."""
    if service == "slack":
        from remediator.alerts.render import render_slack

        return render_slack(message, buttons=True)
    if service == "teams":
        from remediator.alerts.teams import render_teams

        return render_teams(message)
    if service == "google_chat":
        from remediator.alerts.google_chat import render_google_chat

        return render_google_chat(message)
    due = datetime.now(UTC)
    if service == "pagerduty":
        from remediator.alerts.pagerduty import render_pagerduty

        return render_pagerduty(message, "ROUTING_KEY", due=due)
    from remediator.alerts.webhook import webhook_body

    return webhook_body(message, due)
