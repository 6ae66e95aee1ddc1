"""Opening: a channel of the policy file becomes something that sends.

Owns which service a channel is for; each stands in a module of its own, and all but Slack and mail are imported
when such a channel is opened. Secrets come in resolved and never leave in an error's words. Called by
`policy_channels`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from remediator.alerts.channel import Channel
from remediator.alerts.channel_specs import ChannelSpec
from remediator.alerts.slack import SLACK_API, SlackBot, SlackWebhook
from remediator.alerts.smtp import Smtp
from remediator.domain import PermanentError, VariableNotSet


def open_channel(
    name: str,
    spec: ChannelSpec,
    resolve_secret: Callable[[str], str],
    *,
    hosts: Sequence[str] | None = None,
    buttons: bool = False,
    to: Sequence[str] = (),
    project: str = "",
    slack_api: str = SLACK_API,
) -> Channel:
    """The channel, ready to send; opens no connection. Raises PermanentError, naming the channel;
    VariableNotSet where its secret stands in an environment variable that is not set.

    `hosts`: names a channel may speak to, globs, None for any. `buttons`: a Slack app is there that
    receives clicks. `to`: addresses instead of the channel's own (an owner found by the map).
    `project`: whose jobs these are, where several projects share a PagerDuty service.
    """
    try:
        opened = _opened(spec, resolve_secret, hosts, buttons, to, project, slack_api)
    except PermanentError as err:
        msg = f"channel {name}: {err}"
        kind = VariableNotSet if isinstance(err, VariableNotSet) else PermanentError
        raise kind(msg) from err
    if opened is None:
        msg = f"channel {name}: of no kind that is known"
        raise PermanentError(msg)
    return opened


def _opened(
    spec: ChannelSpec,
    resolve_secret: Callable[[str], str],
    hosts: Sequence[str] | None,
    buttons: bool,
    to: Sequence[str],
    project: str,
    slack_api: str,
) -> Channel | None:
    if spec.slack is not None and spec.slack.webhook is not None:
        return SlackWebhook(resolve_secret(spec.slack.webhook), hosts=hosts, buttons=buttons)
    if spec.slack is not None and spec.slack.token is not None:
        return SlackBot(
            resolve_secret(spec.slack.token),
            spec.slack.channel or "",
            api=slack_api,
            hosts=hosts,
            buttons=buttons,
        )
    if spec.email is not None:
        url = resolve_secret(spec.email.smtp)
        return Smtp(url, spec.email.sender, tuple(to) or spec.email.to, hosts=hosts)
    if spec.webhook is not None:
        from remediator.alerts.webhook import SignedWebhook  # noqa: PLC0415  # cold start

        url, secret = resolve_secret(spec.webhook.url), resolve_secret(spec.webhook.secret)
        return SignedWebhook(url, secret, hosts=hosts)
    if spec.teams is not None:
        from remediator.alerts.teams import TeamsWorkflow  # noqa: PLC0415  # cold start

        return TeamsWorkflow(resolve_secret(spec.teams.webhook), hosts=hosts)
    if spec.pagerduty is not None:
        from remediator.alerts.pagerduty import (  # noqa: PLC0415  # cold start
            EVENTS_API,
            EVENTS_API_EU,
            PagerDutyEvents,
        )

        api = EVENTS_API_EU if spec.pagerduty.region == "eu" else EVENTS_API
        key = resolve_secret(spec.pagerduty.routing_key)
        return PagerDutyEvents(key, api=api, project=project, hosts=hosts)
    if spec.google_chat is not None:
        from remediator.alerts.google_chat import GoogleChatWebhook  # noqa: PLC0415  # cold start

        return GoogleChatWebhook(resolve_secret(spec.google_chat.webhook), hosts=hosts)
    return None
