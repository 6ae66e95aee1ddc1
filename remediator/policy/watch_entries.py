"""The entries of `watch` as frozen values: which running jobs, which log line, and what is done.

Owns the keys and what can be said of one entry alone; `watch_checks` knows what entries mean to each
other. Must not know jobs (`remediator.watch` judges those). Called by `model`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag

from remediator.policy.selection import WatchWhen
from remediator.policy.steps import PolicyPart
from remediator.policy.value_readers import mapping_or_word
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


class LogRule(PolicyPart):
    """A line that is missing: none that matches for so long, of a job that runs."""

    pattern: Pattern = Field(
        description="A regular expression (RE2) that a line of progress matches somewhere."
    )
    stop_pattern: Pattern | None = Field(
        default=None, description="Once a line matches this, the rule asks for nothing any more."
    )
    longer_than: Duration = Field(
        alias="for",
        description="How long no line may match; before the first one, 20 min more.",
    )


class CancelResubmit(PolicyPart):
    """Cancel the job and submit it again, unchanged."""

    checkpoint: Checkpoint = Field(
        default="required",
        description="`required`: only where an object below the base output directory is newer than "
        "the job's start; `not_needed`: beginning again loses nothing that matters.",
    )


class CancelMove(PolicyPart):
    """`cancel_resubmit` with its conditions: `{cancel_resubmit: {checkpoint: required}}`."""

    cancel_resubmit: Annotated[
        CancelResubmit, BeforeValidator(lambda value: {} if value is None else value)
    ] = Field(
        description="It counts against `attempts`, is done at most once for each attempt and three "
        "times in a chain, and needs `rerun_safe` or a person's yes as any resubmission does."
    )


class WatchEntry(PolicyPart):
    """What is done about some running jobs. The first entry that matches decides."""

    name: PolicyName = Field(
        description="a-z, 0-9 and `-`, at most 63; each name once, policies' names among them."
    )
    when: WatchWhen = Field(default=WatchWhen(), description="Which running jobs it is for.")
    log: LogRule | None = Field(
        default=None,
        description="A log rule. Beside `running`, both must hold, and the lines that match are the "
        "log's only sign of work; without `running` it decides alone.",
    )
    do: Annotated[
        Annotated[CancelMove, Tag("named")] | Annotated[WatchWord, Tag("word")],
        Discriminator(mapping_or_word),
    ] = Field(
        default="alert",
        description="`alert` only tells; `cancel` ends the job, after its last lines, curves and "
        "stacks are kept; `{cancel_resubmit: {checkpoint: required}}` submits it again besides.",
    )
    alert: AlertNames = Field(
        default=(), description="Channels that are told; `owner` is whoever the owner map finds."
    )
    mode: ModeWord | None = Field(
        default=None,
        description="How far this entry may go; the stricter of this and the file's `mode` holds.",
    )
    enabled: Switch = Field(default=True, description="`false`: it never matches.")
    description: Text | None = Field(
        default=None, description="What it is for, for those who read it."
    )

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
