"""Which jobs a policy or an entry of `watch` is for: every key that is given must hold.

Owns `when`, in both its forms, and the matching of globs and labels. Must not know jobs (see
`matching`, which holds one against it). Called by `model` and `watch_entries`; the planner and the
checks read the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from remediator.domain import Cause
from remediator.policy.policy_part import PolicyPart

if TYPE_CHECKING:
    from pydantic import Field

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

_LEAST_CONFIDENCE = 0.5
"""What a `when` asks for that says nothing of it."""


class Selection(PolicyPart, frozen=True):
    """What both forms of `when` ask of the job itself."""

    job: Annotated[Kinds | None, Field(description="The job is of one of these kinds.")] = None
    min_confidence: Annotated[
        Share | None,
        Field(
            json_schema_extra={"default": _LEAST_CONFIDENCE},
            description="The verdict's confidence is at least this. A policy that names neither a cause "
            "nor this key asks for none; an entry of `watch` always asks.",
        ),
    ] = None
    labels: Annotated[
        dict[str, Globs], Field(description="The job has these labels; values may be globs.")
    ] = msgspec.field(default_factory=dict)
    location: Annotated[Globs | None, Field(description="Globs; the job's region.")] = None
    model: Annotated[Globs | None, Field(description="Globs; the model of a batch prediction.")] = (
        None
    )
    service_account: Annotated[
        Globs | None, Field(description="Globs; the account the job runs as.")
    ] = None
    condition: Annotated[
        Text | None, Field(alias="if", description="A CEL expression over the variables below.")
    ] = None
    zone: Annotated[
        Zone | None,
        Field(
            description="The time zone of `now.hour` and `now.weekday`, such as Europe/Berlin; UTC without it."
        ),
    ] = None

    @property
    def least_confidence(self) -> float:
        """`min_confidence`, or what holds without it."""
        return _LEAST_CONFIDENCE if self.min_confidence is None else self.min_confidence


class When(Selection, frozen=True):
    """Which failures a policy is for: every key that is given must hold."""

    first_keys: ClassVar[tuple[str, ...]] = ("cause", "job")

    cause: Annotated[Causes | None, Field(description="The verdict is one of these causes.")] = None

    def accepts(self, verdict: Cause, confidence: float) -> bool:
        """Whether the verdict is one this policy is for. `unknown`, where named, needs no confidence."""
        if self.cause is not None and verdict not in self.cause:
            return False
        named_unknown = verdict is Cause.UNKNOWN and self.cause is not None
        return named_unknown or confidence >= self.needed_confidence

    @property
    def needed_confidence(self) -> float:
        """`min_confidence`, or 0 where the policy asks for no cause and for no confidence."""
        asked = self.cause is not None or self.min_confidence is not None
        return self.least_confidence if asked else 0.0


class WatchWhen(Selection, frozen=True):
    """Which running jobs an entry is for: every key that is given must hold."""

    first_keys: ClassVar[tuple[str, ...]] = ("running", "longer_than", "job")

    running: Annotated[
        RunningVerdicts | None,
        Field(
            description="What is thought of the job: one or several verdicts. Without it any that says "
            "something is wrong; with a `log` rule and without this key the rule alone decides."
        ),
    ] = None
    longer_than: Annotated[
        Duration | None,
        Field(
            alias="for",
            description="How long it has stood still, waited or gone on so; in place of 30 min with an "
            "accelerator, 60 without, 60 of waiting (a Gemini batch 24 h, FLEX_START its `max_wait`), 150 "
            "of an accelerator never used. The job's label `remediator-silence` (such as `4h`) widens it.",
        ),
    ] = None
    machine: Annotated[Globs | None, Field(description="Globs; the job's machine type.")] = None


def matches_any(globs: Iterable[str], text: str) -> bool:
    """Whether the text fits one of the globs (`*`, `?`, `[abc]`), case and all."""
    return any(fnmatchcase(text, glob) for glob in globs)


def matches_labels(asked: Mapping[str, tuple[str, ...]], labels: Mapping[str, str]) -> bool:
    """Whether every asked label is there with a value that fits one of its globs."""
    return all(key in labels and matches_any(globs, labels[key]) for key, globs in asked.items())
