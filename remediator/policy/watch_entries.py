"""The entries of `watch` as frozen values: which running jobs, which log line, and what is done.

Owns the keys and what can be said of one entry alone; `watch_checks` knows what entries mean to each
other. Must not know jobs (`remediator.watch` judges those). Called by `model`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from remediator.domain import NOTHING_WRONG, WatchVerdict
from remediator.policy.policy_part import PolicyPart
from remediator.policy.selection import WatchWhen

if TYPE_CHECKING:
    from pydantic import BeforeValidator, Discriminator, Field, Tag

    from remediator.policy.value_readers import empty_if_none, mapping_or_word
    from remediator.policy.values import (
        AlertNames,
        Checkpoint,
        Duration,
        ModeWord,
        Pattern,
        PolicyName,
        Switch,
        Text,
        WatchWord,
    )


class LogRule(PolicyPart, frozen=True, kw_only=True):
    """A line that is missing: none that matches for so long, of a job that runs."""

    pattern: Annotated[
        Pattern,
        Field(description="A regular expression (RE2) that a line of progress matches somewhere."),
    ]
    stop_pattern: Annotated[
        Pattern | None,
        Field(description="Once a line matches this, the rule asks for nothing any more."),
    ] = None
    longer_than: Annotated[
        Duration,
        Field(
            alias="for",
            description="How long no line may match; before the first one, 20 min more.",
        ),
    ]


class CancelResubmit(PolicyPart, frozen=True):
    """Cancel the job and submit it again, unchanged."""

    checkpoint: Annotated[
        Checkpoint,
        Field(
            description="`required`: only where an object below the base output directory is newer than "
            "the job's start; `not_needed`: beginning again loses nothing that matters."
        ),
    ] = "required"


class CancelMove(PolicyPart, frozen=True):
    """`cancel_resubmit` with its conditions: `{cancel_resubmit: {checkpoint: required}}`."""

    cancel_resubmit: Annotated[
        Annotated[CancelResubmit, BeforeValidator(empty_if_none)],
        Field(
            description="It counts against `attempts`, is done at most once for each attempt and three "
            "times in a chain, and needs `rerun_safe` or a person's yes as any resubmission does."
        ),
    ]


class WatchEntry(PolicyPart, frozen=True):
    """What is done about some running jobs. The first entry that matches decides."""

    name: Annotated[
        PolicyName,
        Field(
            description="a-z, 0-9 and `-`, at most 63; each name once, policies' names among them."
        ),
    ]
    when: Annotated[WatchWhen, Field(description="Which running jobs it is for.")] = WatchWhen()
    log: Annotated[
        LogRule | None,
        Field(
            description="A log rule. Beside `running`, both must hold, and the lines that match are the "
            "log's only sign of work; without `running` it decides alone."
        ),
    ] = None
    do: Annotated[
        Annotated[
            Annotated[CancelMove, Tag("named")] | Annotated[WatchWord, Tag("word")],
            Discriminator(mapping_or_word),
        ],
        Field(
            description="`alert` only tells; `cancel` ends the job, after its last lines, curves and "
            "stacks are kept; `{cancel_resubmit: {checkpoint: required}}` submits it again besides."
        ),
    ] = "alert"
    alert: Annotated[
        AlertNames,
        Field(description="Channels that get the alerts; `owner` is whoever the owner map finds."),
    ] = ()
    mode: Annotated[
        ModeWord | None,
        Field(
            description="How far this entry may go; the stricter of this and the file's `mode` holds."
        ),
    ] = None
    enabled: Annotated[Switch, Field(description="`false`: it never matches.")] = True
    description: Annotated[
        Text | None, Field(description="What it is for, for those who read it.")
    ] = None

    @property
    def verdicts(self) -> frozenset[WatchVerdict]:
        """The verdicts that it is for; none where its log rule decides alone."""
        if self.when.running is not None:
            return frozenset(self.when.running)
        return frozenset() if self.log else frozenset(WatchVerdict) - NOTHING_WRONG

    @property
    def cancels(self) -> bool:
        """Whether it ends the job."""
        return self.do != "alert"

    @property
    def resubmission(self) -> CancelResubmit | None:
        """What it asks of a resubmission; None: it makes none."""
        if isinstance(self.do, CancelMove):
            return self.do.cancel_resubmit
        return CancelResubmit() if self.do == "cancel_resubmit" else None

    @property
    def needs_log_rule_alone(self) -> bool:
        """Whether the log rule decides without a verdict."""
        return self.log is not None and self.when.running is None
