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
from typing import Any

from pydantic import Field, PrivateAttr

from remediator.domain import JobKind, Mode
from remediator.policy.channels import ChannelConfig
from remediator.policy.selection import When, matches_any, matches_labels
from remediator.policy.steps import PolicyPart, Step
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
from remediator.policy.watch_entries import WatchEntry
from remediator.policy.yaml_tree import Lines

OWNER = "owner"
"""In an `alert` list: whoever the owner map finds for the job."""


# --- limits ------------------------------------------------------------------------------------


class Breaker(PolicyPart):
    """Pauses a policy's resubmissions, of one model for one account, when they keep failing."""

    failed_share: Share = Field(description="Share of the last attempts that failed, 0 to 1.")
    of_last: Positive = Field(description="How many finished attempts are looked at.")
    pause: Duration = Field(
        description="How long failures then wait. After it one resubmission tries, the others follow "
        "if it succeeds."
    )


class Per(PolicyPart):
    """Budgets of one group of jobs, so that one team cannot spend another's."""

    by: Group = Field(
        description="What makes a group: `service_account`, `location`, `model` or `labels.NAME`."
    )
    usd_per_day: Usd | None = Field(
        default=None,
        description="US dollars a group's resubmissions may cost in a UTC day, counted alike.",
    )
    resubmissions_per_hour: Whole | None = Field(
        default=None, description="Resubmissions of a group in any 60 minutes."
    )


class _Bounds(PolicyPart):
    usd_per_job: Usd | None = Field(
        default=None,
        description="US dollars, all resubmissions of one root job together: what ended ones cost, "
        "and of a running one its estimate, or what it has cost once that is more.",
    )
    usd_per_day: Usd | None = Field(
        default=None,
        description="US dollars in a UTC day, all resubmissions together, each by the hours that it "
        "ran in that day; what is left of a running one's estimate counts in the present day.",
    )
    resubmissions_per_hour: Whole | None = Field(
        default=None, description="Resubmissions in any 60 minutes."
    )
    per: tuple[Per, ...] = Field(default=(), description="Budgets for groups of jobs.")
    max_run: Times | None = Field(
        default=None,
        description="Bounds an attempt that has no time-out of its own: this many times the longest "
        "of the failed run, a successful run of a similar job, and 24 h. Never shortens a time-out "
        "that the job sets itself.",
    )
    machine_types: Allowed | None = Field(
        default=None, description="Machine types that may be chosen; globs."
    )
    accelerators: Allowed | None = Field(
        default=None, description="Accelerators that may be chosen; globs."
    )
    locations: Allowed | None = Field(
        default=None, description="Regions that may be chosen; globs."
    )
    breaker: Breaker | None = Field(
        default=None,
        description="For each policy, model and account: pause when our own attempts keep failing; "
        "meanwhile failures wait.",
    )


class Limits(_Bounds):
    """What holds for every policy. An absent limit does not limit, but for attempts and retries."""

    attempts: Whole = Field(default=3, description="Changed resubmissions of one root job.")
    retries: Whole = Field(
        default=5, description="Unchanged resubmissions of one root job, a budget of their own."
    )
    on_overrun: OnOverrun = Field(
        default="alert",
        description="What is done when a running attempt has cost more than `usd_per_job`, than "
        "`usd_per_day` or a group's share of it has room for, or runs past `max_run`.",
    )

    @property
    def has_money_limit(self) -> bool:
        """Whether any budget in dollars is set: an unknown price refuses only then."""
        groups = any(group.usd_per_day is not None for group in self.per)
        return self.usd_per_job is not None or self.usd_per_day is not None or groups


class Tighter(_Bounds):
    """Limits of one policy: each may tighten the general one, never loosen it."""

    attempts: Whole | None = Field(
        default=None, description="Changed resubmissions of one root job."
    )
    retries: Whole | None = Field(
        default=None, description="Unchanged resubmissions of one root job."
    )
    on_overrun: OnOverrun | None = Field(
        default=None,
        description="What is done when a running attempt has cost more than `usd_per_job`, than "
        "`usd_per_day` or a group's share of it has room for, or runs past `max_run`.",
    )


# --- policies ----------------------------------------------------------------------------------


class Policy(PolicyPart):
    """What is done about one sort of failure. The first policy of the file that matches decides."""

    name: PolicyName = Field(description="a-z, 0-9 and `-`, at most 63; each name once.")
    when: When = Field(default=When(), description="Which failures it is for.")
    do: tuple[Step, ...] = Field(
        default=(), description="Steps, in order; past the last one, and with none, only an alert."
    )
    limits: Tighter = Field(
        default=Tighter(), description="Limits of its own, none looser than the general ones."
    )
    alert: AlertNames = Field(
        default=(), description="Channels that are told; `owner` is whoever the owner map finds."
    )
    mode: ModeWord | None = Field(
        default=None,
        description="How far this policy may go, for a gradual roll-out; the stricter of this and the "
        "file's `mode` holds.",
    )
    enabled: Switch = Field(default=True, description="`false`: it never matches.")
    description: Text | None = Field(
        default=None, description="What it is for, for those who read it."
    )
    retry_exit_codes: ExitCodes | None = Field(
        default=None,
        description="Exit codes by which a program says that it may be run again, such as 75: those "
        "are retried whatever the cause, counted in `retries`.",
    )


# --- owners, approvers, probes -----------------------------------------------------------------


class OwnerRule(PolicyPart):
    """Whose job it is: every key that is given must hold."""

    labels: dict[str, Globs] = Field(
        default_factory=dict, description="The job has these labels; values may be globs."
    )
    service_account: Globs | None = Field(
        default=None, description="Globs; the account the job runs as."
    )
    to: Text = Field(description="A channel's name, or an e-mail address in an allowed domain.")


class Owners(PolicyPart):
    """Finds the owner of a job for `alert: [owner]`; the first rule that fits decides."""

    domains: Domains = Field(default=(), description="Domains whose addresses may be written to.")
    email: ChannelName | None = Field(
        default=None,
        description="The e-mail channel whose server and sender carry mail to addresses.",
    )
    rules: tuple[OwnerRule, ...] = Field(description="Tried in order.")


class Approvers(PolicyPart):
    """Who may answer a plan by its buttons in Slack."""

    slack: Texts = Field(description="Slack member ids, such as U024BE7LH.")
    signing_secret: Secret = Field(description="Where the Slack app's signing secret is kept.")


class Probes(PolicyPart):
    """External data sources whose latency may be measured."""

    hosts: Hosts = Field(
        default=(), description="Names of hosts; a leading `*.` is allowed. Empty: none."
    )
    threshold: Duration = Field(
        default=timedelta(seconds=0.5), description="Slower than this is slow."
    )


# --- the file ----------------------------------------------------------------------------------


class Policies(PolicyPart):
    """A policy file."""

    version: Version = Field(description="The language's version: 1.")
    mode: ModeWord = Field(
        default=Mode.OBSERVE,
        description="`enforce`, `approve` (a person says yes first) or `observe` (plan and alert, "
        "change nothing).",
    )
    rerun_safe: SafeKinds = Field(
        default=(JobKind.BATCH_PREDICTION,),
        description="Kinds of jobs that may be run again without a person's yes; any other kind "
        "gets `approve` at most, unless the job carries the label `remediator=on`.",
    )
    limits: Limits = Field(default=Limits(), description="Limits for every policy.")
    learn_across_accounts: Switch = Field(
        default=False,
        description="Whether sizes and run times that are remembered from jobs of other service "
        "accounts count too. Jobs are alike by name (without digits, dates and hashes) and image "
        "(without tag and digest) or model.",
    )
    probes: Probes = Field(default=Probes(), description="What may be measured.")
    channels: dict[ChannelName, ChannelConfig] = Field(
        default_factory=dict, description="Where alerts can go, by name."
    )
    owners: Owners | None = Field(default=None, description="Whose job it is.")
    approvers: Approvers | None = Field(default=None, description="Who may approve in Slack.")
    policies: tuple[Policy, ...] = Field(
        description="The policies, in order: the first that matches decides."
    )
    watch: tuple[WatchEntry, ...] = Field(
        default=(),
        description="What is done about jobs that still run; the first entry that matches decides.",
    )

    _channel_hosts: tuple[str, ...] | None = PrivateAttr(None)
    _lines: Lines | None = PrivateAttr(None)

    @property
    def channel_hosts(self) -> tuple[str, ...] | None:
        """Hosts that channels may speak to, by the operator's ceiling; None: any."""
        return self._channel_hosts

    def carrier_of(self, name: str) -> str:
        """The channel that carries what is in the outbox to a name: itself, or the owners' for an address."""
        if "@" in name and self.owners is not None and self.owners.email:
            return self.owners.email
        return name

    def place_of(self, policy: Policy | None, key: str) -> str:
        """Where the limit that binds the policy stands: `policies.yaml:27`, or that it is a default.

        Empty where the policies came from no text, or the file does not set the limit.
        """
        if self._lines is None:
            return ""
        own = next((i for i, one in enumerate(self.policies) if one is policy), None)
        paths = [("policies", own, "limits", key)] if own is not None else []
        for path in (*paths, ("limits", key)):
            if path in self._lines.by_path:
                return f"{self._lines.filename}:{self._lines.by_path[path]}"
        return "the default" if key in {"attempts", "retries"} else ""

    def with_lines(self, lines: Lines) -> Policies:
        """The policies, knowing where in their text each limit stands."""
        self._lines = lines
        return self

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
    merged: dict[str, Any] = {name: getattr(general, name) for name in Limits.model_fields}
    for name in _SMALLER:
        values = [v for v in (getattr(general, name), getattr(own, name)) if v is not None]
        merged[name] = min(values, default=None)
    for name in (*_LISTS, "breaker"):
        if getattr(own, name) is not None:
            merged[name] = getattr(own, name)
    merged["per"] = general.per + own.per
    merged["on_overrun"] = "cancel" if "cancel" in {general.on_overrun, own.on_overrun} else "alert"
    return Limits.model_construct(**merged)


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

    limits = policies.limits.model_copy(
        update={
            "usd_per_day": least(policies.limits.usd_per_day, max_usd_per_day),
            "usd_per_job": least(policies.limits.usd_per_job, max_usd_per_job),
        }
    )
    mode = min(policies.mode, max_mode or policies.mode, key=_MODES.index)
    bounded = policies.model_copy(update={"mode": mode, "limits": limits})
    bounded._channel_hosts = tuple(channel_hosts) if channel_hosts is not None else None  # noqa: SLF001  # our own class
    return bounded
