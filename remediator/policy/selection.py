"""Which jobs a policy or an entry of `watch` is for: every key that is given must hold.

Owns `when`, in both its forms, and the matching of globs and labels. Must not know jobs (see
`matching`, which holds one against it). Called by `model` and `watch_entries`; the planner and the
checks read the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pydantic import Field

from remediator.domain import Cause
from remediator.policy.steps import PolicyPart
from remediator.policy.values import (
    Causes,
    Duration,
    Globs,
    Kinds,
    RunningVerdicts,
    Share,
    Text,
    Zone,
)


class _Diagnosis(PolicyPart):
    cause: Causes | None = Field(default=None, description="The verdict is one of these causes.")


class _Watched(PolicyPart):
    running: RunningVerdicts | None = Field(
        default=None,
        description="What is thought of the job: one or several verdicts. Without it any that says "
        "something is wrong; with a `log` rule and without this key the rule alone decides.",
    )
    longer_than: Duration | None = Field(
        default=None,
        alias="for",
        description="How long it has stood still, waited or gone on so; in place of 30 min with an "
        "accelerator, 60 without, 60 of waiting (a Gemini batch 24 h, FLEX_START its `max_wait`), 150 "
        "of an accelerator never used. The job's label `remediator-silence` (such as `4h`) widens it.",
    )


class _Kind(PolicyPart):
    job: Kinds | None = Field(default=None, description="The job is of one of these kinds.")


class Selection(PolicyPart):
    """What both forms of `when` ask of the job itself."""

    min_confidence: Share = Field(
        default=0.5,
        description="The verdict's confidence is at least this. A policy that names neither a cause "
        "nor this key asks for none; an entry of `watch` always asks.",
    )
    labels: dict[str, Globs] = Field(
        default_factory=dict, description="The job has these labels; values may be globs."
    )
    location: Globs | None = Field(default=None, description="Globs; the job's region.")
    model: Globs | None = Field(default=None, description="Globs; the model of a batch prediction.")
    service_account: Globs | None = Field(
        default=None, description="Globs; the account the job runs as."
    )
    condition: Text | None = Field(
        default=None, alias="if", description="A CEL expression over the variables below."
    )
    zone: Zone | None = Field(
        default=None,
        description="The time zone that `now` is told in, such as Europe/Berlin; UTC without it.",
    )


class When(Selection, _Kind, _Diagnosis):
    """Which failures a policy is for: every key that is given must hold."""

    def accepts(self, verdict: Cause, confidence: float) -> bool:
        """Whether the verdict is one this policy is for. `unknown`, where named, needs no confidence."""
        if self.cause is not None and verdict not in self.cause:
            return False
        named_unknown = verdict is Cause.UNKNOWN and self.cause is not None
        return named_unknown or confidence >= self.needed_confidence

    @property
    def needed_confidence(self) -> float:
        """`min_confidence`, or 0 where the policy asks for no cause and for no confidence."""
        asked = self.cause is not None or "min_confidence" in self.model_fields_set
        return self.min_confidence if asked else 0.0


class WatchWhen(Selection, _Kind, _Watched):
    """Which running jobs an entry is for: every key that is given must hold."""

    machine: Globs | None = Field(default=None, description="Globs; the job's machine type.")


def matches_any(globs: Iterable[str], text: str) -> bool:
    """Whether the text fits one of the globs (`*`, `?`, `[abc]`), case and all."""
    return any(fnmatchcase(text, glob) for glob in globs)


def matches_labels(asked: Mapping[str, tuple[str, ...]], labels: Mapping[str, str]) -> bool:
    """Whether every asked label is there with a value that fits one of its globs."""
    return all(key in labels and matches_any(globs, labels[key]) for key, globs in asked.items())
