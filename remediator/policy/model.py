"""The policy file as frozen values: every key, its type, its bounds and its one-line meaning.

Owns the shape of the file and what can be said of one value alone (`steps` has what stands in a
policy's `do`); `checks` knows what values mean to each other, `yaml_tree` where they stand in the text.
Must not read files or the environment.
The JSON Schema and the reference page are made from the descriptions here. Called by `language`;
the planner and the guards read the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from remediator.domain import JobKind, Mode
from remediator.policy.channels import ChannelConfig
from remediator.policy.policy_part import PolicyPart
from remediator.policy.selection import When, matches_any, matches_labels
from remediator.policy.steps import Step
from remediator.policy.watch_entries import WatchEntry

if TYPE_CHECKING:
    from pydantic import Field

    from remediator.policy.values import (
        AlertNames,
        Allowed,
        ChannelName,
        Domains,
        Duration,
        ExitCodes,
        Globs,
        Group,
        Hosts,
        ModeWord,
        OnOverrun,
        PolicyName,
        Positive,
        SafeKinds,
        Secret,
        Share,
        Switch,
        Text,
        Texts,
        Times,
        Usd,
        Version,
        Whole,
    )


OWNER = "owner"
"""In an `alert` list: whoever the owner map finds for the job."""


# --- limits ------------------------------------------------------------------------------------


class Breaker(PolicyPart, frozen=True):
    """Pauses a policy's resubmissions, of one model for one account, when they keep failing."""

    failed_share: Annotated[
        Share, Field(description="Share of the last attempts that failed, 0 to 1.")
    ]
    of_last: Annotated[Positive, Field(description="How many finished attempts are looked at.")]
    pause: Annotated[
        Duration,
        Field(
            description="How long failures then wait. After it one resubmission tries, the others follow "
            "if it succeeds."
        ),
    ]


class Per(PolicyPart, frozen=True):
    """Budgets of one group of jobs, so that one team cannot spend another's."""

    by: Annotated[
        Group,
        Field(
            description="What makes a group: `service_account`, `location`, `model` or `labels.NAME`."
        ),
    ]
    usd_per_day: Annotated[
        Usd | None,
        Field(
            description="US dollars a group's resubmissions may cost in a UTC day, counted alike."
        ),
    ] = None
    resubmissions_per_hour: Annotated[
        Whole | None, Field(description="Resubmissions of a group in any 60 minutes.")
    ] = None


class _Bounds(PolicyPart, frozen=True):
    usd_per_job: Annotated[
        Usd | None,
        Field(
            description="US dollars, all resubmissions of one root job together: what ended ones cost, "
            "and of a running one its estimate, or what it has cost once that is more."
        ),
    ] = None
    usd_per_day: Annotated[
        Usd | None,
        Field(
            description="US dollars in a UTC day, all resubmissions together, each by the hours that it "
            "ran in that day; what is left of a running one's estimate counts in the present day."
        ),
    ] = None
    resubmissions_per_hour: Annotated[
        Whole | None, Field(description="Resubmissions in any 60 minutes.")
    ] = None
    per: Annotated[tuple[Per, ...], Field(description="Budgets for groups of jobs.")] = ()
    max_run: Annotated[
        Times | None,
        Field(
            description="Bounds an attempt that has no time-out of its own: this many times the longest "
            "of the failed run, a successful run of a similar job, and 24 h. Never shortens a time-out "
            "that the job sets itself."
        ),
    ] = None
    machine_types: Annotated[
        Allowed | None,
        Field(
            description="Machine types that an attempt may run on, the same job again too; globs."
        ),
    ] = None
    accelerators: Annotated[
        Allowed | None,
        Field(
            description="Accelerators that an attempt may run on, the same job again too; globs."
        ),
    ] = None
    locations: Annotated[
        Allowed | None,
        Field(description="Regions that an attempt may run in, the same job again too; globs."),
    ] = None
    breaker: Annotated[
        Breaker | None,
        Field(
            description="For each policy, model and account: pause when our own attempts keep failing; "
            "meanwhile failures wait."
        ),
    ] = None


class Limits(_Bounds, frozen=True):
    """What holds for every policy. An absent limit does not limit, but for attempts and retries."""

    attempts: Annotated[Whole, Field(description="Changed resubmissions of one root job.")] = 3
    retries: Annotated[
        Whole, Field(description="Unchanged resubmissions of one root job, a budget of their own.")
    ] = 5
    on_overrun: Annotated[
        OnOverrun,
        Field(
            description="What is done when a running attempt has cost more than `usd_per_job`, than "
            "`usd_per_day` or a group's share of it has room for, or runs past `max_run`."
        ),
    ] = "alert"

    @property
    def has_money_limit(self) -> bool:
        """Whether any budget in dollars is set: an unknown price refuses only then."""
        groups = any(group.usd_per_day is not None for group in self.per)
        return self.usd_per_job is not None or self.usd_per_day is not None or groups


class Tighter(_Bounds, frozen=True):
    """Limits of one policy: each may tighten the general one, never loosen it."""

    attempts: Annotated[
        Whole | None, Field(description="Changed resubmissions of one root job.")
    ] = None
    retries: Annotated[
        Whole | None, Field(description="Unchanged resubmissions of one root job.")
    ] = None
    on_overrun: Annotated[
        OnOverrun | None,
        Field(
            description="What is done when a running attempt has cost more than `usd_per_job`, than "
            "`usd_per_day` or a group's share of it has room for, or runs past `max_run`."
        ),
    ] = None


# --- policies ----------------------------------------------------------------------------------


class Policy(PolicyPart, frozen=True):
    """What is done about one sort of failure. The first policy of the file that matches decides."""

    name: Annotated[PolicyName, Field(description="a-z, 0-9 and `-`, at most 63; each name once.")]
    when: Annotated[When, Field(description="Which failures it is for.")] = When()
    do: Annotated[
        tuple[Step, ...],
        Field(description="Steps, in order; past the last one, and with none, only an alert."),
    ] = ()
    limits: Annotated[
        Tighter, Field(description="Limits of its own, none looser than the general ones.")
    ] = Tighter()
    alert: Annotated[
        AlertNames,
        Field(description="Channels that get the alerts; `owner` is whoever the owner map finds."),
    ] = ()
    mode: Annotated[
        ModeWord | None,
        Field(
            description="How far this policy may go, for a gradual roll-out; the stricter of this and the "
            "file's `mode` holds."
        ),
    ] = None
    enabled: Annotated[Switch, Field(description="`false`: it never matches.")] = True
    description: Annotated[
        Text | None, Field(description="What it is for, for those who read it.")
    ] = None
    retry_exit_codes: Annotated[
        ExitCodes | None,
        Field(
            description="Exit codes by which a program says that it may be run again, such as 75: those "
            "are retried whatever the cause, counted in `retries`."
        ),
    ] = None


# --- owners, approvers, probes -----------------------------------------------------------------


class OwnerRule(PolicyPart, frozen=True, kw_only=True):
    """Whose job it is: every key that is given must hold."""

    labels: Annotated[
        dict[str, Globs], Field(description="The job has these labels; values may be globs.")
    ] = msgspec.field(default_factory=dict)
    service_account: Annotated[
        Globs | None, Field(description="Globs; the account the job runs as.")
    ] = None
    to: Annotated[
        Text, Field(description="A channel's name, or an e-mail address in an allowed domain.")
    ]


class Owners(PolicyPart, frozen=True, kw_only=True):
    """Finds the owner of a job for `alert: [owner]`; the first rule that fits decides."""

    domains: Annotated[
        Domains, Field(description="Domains whose addresses may be written to.")
    ] = ()
    email: Annotated[
        ChannelName | None,
        Field(description="The e-mail channel whose server and sender carry mail to addresses."),
    ] = None
    rules: Annotated[tuple[OwnerRule, ...], Field(description="Tried in order.")]


class Approvers(PolicyPart, frozen=True):
    """Who may answer a plan by its buttons in Slack."""

    slack: Annotated[Texts, Field(description="Slack member ids, such as U024BE7LH.")]
    signing_secret: Annotated[
        Secret, Field(description="Where the Slack app's signing secret is kept.")
    ]


class Probes(PolicyPart, frozen=True):
    """External data sources whose latency may be measured."""

    hosts: Annotated[
        Hosts, Field(description="Names of hosts; a leading `*.` is allowed. Empty: none.")
    ] = ()
    threshold: Annotated[Duration, Field(description="Slower than this is slow.")] = timedelta(
        seconds=0.5
    )


# --- the file ----------------------------------------------------------------------------------


class LimitLines(msgspec.Struct, frozen=True):
    """The line of each limit of a file, counted from 1, by its keys: `limits.attempts`."""

    filename: str
    by_keys: Mapping[str, int]


class Policies(PolicyPart, frozen=True, kw_only=True):
    """A policy file."""

    version: Annotated[Version, Field(description="The language's version: 1.")]
    mode: Annotated[
        ModeWord,
        Field(
            description="`enforce`, `approve` (a person says yes first) or `observe` (plan and alert, "
            "change nothing)."
        ),
    ] = Mode.OBSERVE
    rerun_safe: Annotated[
        SafeKinds,
        Field(
            description="Kinds of jobs that may be run again without a person's yes; any other kind "
            "gets `approve` at most, unless the job carries the label `remediator=on`."
        ),
    ] = (JobKind.BATCH_PREDICTION,)
    limits: Annotated[Limits, Field(description="Limits for every policy.")] = Limits()
    learn_across_accounts: Annotated[
        Switch,
        Field(
            description="Whether sizes and run times that are remembered from jobs of other service "
            "accounts count too. Jobs are alike by name (without digits, dates and hashes) and image "
            "(without tag and digest) or model."
        ),
    ] = False
    probes: Annotated[Probes, Field(description="What may be measured.")] = Probes()
    channels: Annotated[
        dict[ChannelName, ChannelConfig], Field(description="Where alerts can go, by name.")
    ] = msgspec.field(default_factory=dict)
    owners: Annotated[Owners | None, Field(description="Whose job it is.")] = None
    approvers: Annotated[Approvers | None, Field(description="Who may approve in Slack.")] = None
    policies: Annotated[
        tuple[Policy, ...],
        Field(description="The policies, in order: the first that matches decides."),
    ]
    watch: Annotated[
        tuple[WatchEntry, ...],
        Field(
            description="What is done about jobs that still run; the first entry that matches decides."
        ),
    ] = ()

    channel_hosts: tuple[str, ...] | None = None
    """Hosts that channels may speak to, by the operator's ceiling; None: any. No key of the file."""
    lines: LimitLines | None = None
    """Where the limits stand in their text. No key of the file."""

    def carrier_of(self, name: str) -> str:
        """The channel that carries what is in the outbox to a name: itself, or the owners' for an address."""
        if "@" in name and self.owners is not None and self.owners.email:
            return self.owners.email
        return name

    def place_of(self, policy: Policy | None, key: str) -> str:
        """Where the limit that binds the policy stands: `policies.yaml:27`, or that it is a default.

        Empty where the policies came from no text, or the file does not set the limit.
        """
        if self.lines is None:
            return ""
        own = next((i for i, one in enumerate(self.policies) if one is policy), None)
        for keys in (f"policies.{own}.limits.{key}", f"limits.{key}"):
            if keys in self.lines.by_keys:
                return f"{self.lines.filename}:{self.lines.by_keys[keys]}"
        return "the default" if key in {"attempts", "retries"} else ""

    def limits_for(self, policy: Policy) -> Limits:
        """The general limits with the policy's own laid over them, the tighter of each."""
        return tightened(self.limits, policy.limits)

    def enabled_watch(self) -> tuple[WatchEntry, ...]:
        """The entries of `watch` that are switched on, in order."""
        return tuple(entry for entry in self.watch if entry.enabled)

    def may_resume_rows(self) -> bool:
        """Whether some step asks for the rows of a batch that are left."""
        return any(step.resubmit.rows == "remaining" for one in self.policies for step in one.do)

    def owner_of(self, labels: Mapping[str, str], service_account: str) -> str | None:
        """A channel's name or an e-mail address for the job; None where no rule fits."""
        for rule in self.owners.rules if self.owners else ():
            accounts = rule.service_account
            if matches_labels(rule.labels, labels) and (
                accounts is None or matches_any(accounts, service_account)
            ):
                return rule.to
        return None


_SMALLER = (
    "attempts",
    "retries",
    "usd_per_job",
    "usd_per_day",
    "resubmissions_per_hour",
    "max_run",
)
_LISTS = ("machine_types", "accelerators", "locations")


def tightened(general: Limits, own: Tighter) -> Limits:
    """The tighter of each: the smaller number, the narrower list, `cancel` over `alert`."""
    merged: dict[str, Any] = {name: getattr(general, name) for name in Limits.__struct_fields__}
    for name in _SMALLER:
        values = [v for v in (getattr(general, name), getattr(own, name)) if v is not None]
        merged[name] = min(values, default=None)
    for name in (*_LISTS, "breaker"):
        if getattr(own, name) is not None:
            merged[name] = getattr(own, name)
    merged["per"] = general.per + own.per
    merged["on_overrun"] = "cancel" if "cancel" in {general.on_overrun, own.on_overrun} else "alert"
    return Limits(**merged)


_MODES = (Mode.OBSERVE, Mode.APPROVE, Mode.ENFORCE)


def bound(
    policies: Policies,
    *,
    max_mode: Mode | None = None,
    max_usd_per_day: float | None = None,
    max_usd_per_job: float | None = None,
    channel_hosts: Iterable[str] | None = None,
) -> Policies:
    """The policies under the operator's ceilings, which hold whatever the file says.

    Money in USD. Where a channel speaks to stands in its secret, so `channel_hosts` is carried
    along (`policies.channel_hosts`) for whoever opens the secret to check.
    """

    def least(own: float | None, most: float | None) -> float | None:
        return min((v for v in (own, most) if v is not None), default=None)

    limits = policies.limits.changed(
        usd_per_day=least(policies.limits.usd_per_day, max_usd_per_day),
        usd_per_job=least(policies.limits.usd_per_job, max_usd_per_job),
    )
    mode = min(policies.mode, max_mode or policies.mode, key=_MODES.index)
    hosts = tuple(channel_hosts) if channel_hosts is not None else None
    return policies.changed(mode=mode, limits=limits, channel_hosts=hosts)
